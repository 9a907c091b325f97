-- How fast a channel may send, for one customer or for all of an installation together, and how much of that is used.
-- `next_free` is when the channel is free for the next delivery (the virtual scheduling of ITU-T I.371 Annex A); `sent` is
-- how many deliveries were let through on `day`, in UTC.

create table paces (
    id bigint generated always as identity primary key,
    customer_id bigint references customers (id) on delete cascade,
    channel text not null,
    per_second double precision check (per_second > 0),
    per_day bigint check (per_day > 0),
    ramp_from date,
    ramp_first bigint check (ramp_first > 0),
    ramp_factor double precision check (ramp_factor > 1),
    next_free timestamptz not null default '1970-01-01T00:00:00Z',
    day date,
    sent bigint not null default 0,
    changed_at timestamptz not null,
    check ((ramp_from is null) = (ramp_first is null) and (ramp_from is null) = (ramp_factor is null))
);

create unique index paces_of_customer on paces (customer_id, channel) where customer_id is not null;
create unique index paces_of_all on paces (channel) where customer_id is null;

-- The channel whose pace a cohort stands for: a change of the pace wakes it.
alter table cohorts add column paced text;
create index cohorts_paced on cohorts (paced) where paced is not null and closed_at is null;
