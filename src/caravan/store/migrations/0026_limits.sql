-- When and how often it may be sent: expiry of batches, and how many messages a recipient gets on a channel.

-- Nothing of the batch is sent from then on; null: for ever.
alter table batches add column sends_until timestamptz;

-- At most `most` messages to a recipient on a channel in any `period`. A sender that counts holds the row, so that two
-- can't count the same recipient at once.
create table caps (
    customer_id bigint not null references customers on delete cascade,
    channel text not null,
    most integer not null check (most > 0),
    period interval not null check (period > interval '0'),
    waits boolean not null,
    changed_at timestamptz not null,
    -- It caps no more; the row goes with the last of what it has counted.
    ended_at timestamptz,
    primary key (customer_id, channel)
);

-- Messages that count against a cap: from just before one goes out; one that turns out not to have gone is taken back.
create table capped_sends (
    customer_id bigint not null references customers on delete cascade,
    channel text not null,
    -- Of the recipient and of the delivery only digests, under a secret of this installation.
    recipient bytea not null,
    delivery bytea not null,
    at timestamptz not null,
    -- With the time, so that a look at a recipient needs the index alone.
    primary key (customer_id, channel, recipient, delivery) include (at)
);
create index capped_sends_by_time on capped_sends (customer_id, channel, at);

-- What the window of a cohort that is in flight has counted, so that whoever settles the window can take it back.
create table capped_windows (
    cohort_id bigint primary key references cohorts on delete cascade,
    customer_id bigint not null,
    channel text not null,
    lines bigint[] not null,
    recipients bytea[] not null,
    deliveries bytea[] not null
);
