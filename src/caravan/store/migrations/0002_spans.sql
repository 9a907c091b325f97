-- A very large file is read in spans, by several workers at once (engine/spans.py). Their rows go with the batch's
-- contacts; the receipt of the whole file is in the batch's own row.

create table spans (
    batch_id text not null references batches on delete cascade,
    number integer not null,
    -- The lines that follow a newline in these bytes of the file, and in the first span also line 1.
    start_at bigint not null,
    stop_at bigint not null,
    first_line bigint not null,
    -- unread → read → (with contacts that an earlier span has too: doubled →) done
    state text not null default 'unread' check (state in ('unread', 'read', 'doubled', 'done')),
    -- What its reading gave: counts, and the names of files in the store.
    receipt jsonb,
    -- The file of its contacts whose id is on a line of an earlier span.
    losers text,
    primary key (batch_id, number)
);
