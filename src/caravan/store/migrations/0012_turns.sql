-- Fair queueing between batches (store/turns.py): the virtual time of each batch and of each queue, in contacts.

create table turns (
    batch_id text not null references batches on delete cascade,
    queue text not null,
    -- Where the batch's next cohort stands in this queue.
    turn bigint not null,
    primary key (batch_id, queue)
);

create table queue_turns (
    queue text primary key,
    -- How far the queue has come: where a batch begins that has nothing in it.
    turn bigint not null
);

-- Where the cohort stands in its queue; null until it has taken its place there.
alter table cohorts add column turn bigint;
