-- The PUTs of files that are under way, in whichever process of the API (engine/receiving.py). One that has not been
-- seen for a while ended with its process.

create table puts (
    id text primary key,
    batch_id text not null references batches on delete cascade,
    seen_at timestamptz not null
);
create index puts_by_batch on puts (batch_id);
