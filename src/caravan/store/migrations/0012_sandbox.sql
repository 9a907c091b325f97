-- Messages that were kept instead of being sent, because no relay is set. The newest ones: see store/sandbox.py.
create table sandbox (
    id bigint generated always as identity primary key,
    channel text not null,
    -- The envelope's.
    sender text not null,
    recipient text not null,
    -- As it would have gone over the wire; a mail: RFC 5322, without the dots that SMTP adds.
    content bytea not null,
    at timestamptz not null default now()
);
