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

-- What an operator is told of is looked for every few seconds.
create index batches_failed on batches (finished_at) where state = 'failed';
create index cohorts_stuck on cohorts (stuck_at) where stuck_at is not null;
