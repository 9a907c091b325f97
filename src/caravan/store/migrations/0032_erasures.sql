-- Contacts of whom nothing is to be kept any more (engine/erasure.py).
create table erasures (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers on delete cascade,
    -- The customer's own id; null once nothing of the contact is kept.
    contact text,
    requested_at timestamptz not null,
    finished_at timestamptz,
    -- Why it is not finished, in words; null before it was begun.
    waiting_for text,
    -- Until then whoever is at work on it has it alone.
    held_until timestamptz,
    -- The lines of the contact in batches whose files have been written anew: {batch: [line]}.
    lines jsonb not null default '{}',
    -- The old files of these: [name]. They are still read by some for seconds, and are deleted then.
    replaced jsonb not null default '[]',
    -- What was erased, by kind: {kind: number}.
    erased jsonb not null default '{}'
);
create unique index erasures_pending on erasures (customer_id, contact) where finished_at is null;
create index erasures_open on erasures (id) where finished_at is null;

-- In place of the address of a suppression whose recipient was forgotten: nobody can read it, and who has the address can
-- still find it. The secret is made by the first erasure (store/customers.py: shared_secret).
create function hidden_address(channel text, address text) returns text language sql stable as $$
    select 'hash:' || encode(sha256(convert_to(value || E'\n' || channel || E'\n' || address, 'UTF8')), 'hex')
    from secrets where name = 'recipients' and since is null
$$;
