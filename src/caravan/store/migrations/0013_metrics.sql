-- Totals of what all processes counted and timed, one row for each line of /metrics.
create table metrics (
    name text not null,
    labels jsonb not null,
    value double precision not null,
    primary key (name, labels)
);

-- What transactions count: rows that are only added, so that no transaction waits for another's. They are folded into
-- the totals every few seconds.
create table metric_changes (
    name text not null,
    labels jsonb not null,
    value double precision not null
);
