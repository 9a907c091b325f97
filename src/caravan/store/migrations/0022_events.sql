-- What contacts did, as the API and the channels report it. A partition for each day (UTC) on which events were taken, so
-- that forgetting a day is dropping a table. No foreign key: dropping a partition would lock the customers with it.
create table events (
    id bigserial,
    customer_id bigint not null,
    contact text not null,
    name text not null,
    -- When it happened, as the reporter says; and when it was taken.
    at timestamptz not null,
    taken_at timestamptz not null default now(),
    -- The text of a JSON object.
    properties text not null,
    source text not null,
    key text,
    -- The delivery that it answers, if it does.
    batch_id text,
    step text,
    visit int,
    line bigint
) partition by range (taken_at);
create index events_of_contact on events (customer_id, contact, at);
create index events_by_name on events (customer_id, name, at);

-- What came on a day without a partition of its own.
create table events_other partition of events default;

-- The keys of the events that are kept: a unique index over all partitions of `events` can't be had. The digest is the
-- first half of a SHA-256 of source and key. In eight tables, so that none is vacuumed for long.
create table event_keys (
    customer_id bigint not null,
    digest uuid not null,
    taken_on date not null,
    primary key (customer_id, digest)
) partition by hash (digest);
create table event_keys_0 partition of event_keys for values with (modulus 8, remainder 0);
create table event_keys_1 partition of event_keys for values with (modulus 8, remainder 1);
create table event_keys_2 partition of event_keys for values with (modulus 8, remainder 2);
create table event_keys_3 partition of event_keys for values with (modulus 8, remainder 3);
create table event_keys_4 partition of event_keys for values with (modulus 8, remainder 4);
create table event_keys_5 partition of event_keys for values with (modulus 8, remainder 5);
create table event_keys_6 partition of event_keys for values with (modulus 8, remainder 6);
create table event_keys_7 partition of event_keys for values with (modulus 8, remainder 7);
create index event_keys_by_day on event_keys using brin (taken_on);

-- How many events came back to the deliveries of a batch's steps. No foreign key: each event would lock the batch's row,
-- which moves lock too.
create table batch_events (
    batch_id text not null,
    step text not null,
    event text not null,
    events bigint not null,
    primary key (batch_id, step, event)
);

-- Makes the partitions of some days that lack one. A day of which events lie in `events_other` stays without.
create function make_event_partitions(first date, last date) returns int language plpgsql as $$
declare
    day date;
    made int := 0;
begin
    for day in select d::date from generate_series(first::timestamp, last::timestamp, interval '1 day') d loop
        if to_regclass('events_' || to_char(day, 'YYYYMMDD')) is null and not exists (
            select from events_other
            where taken_at >= day::timestamp at time zone 'UTC' and taken_at < (day + 1)::timestamp at time zone 'UTC'
        ) then
            execute format('create table %I partition of events for values from (%L) to (%L)',
                'events_' || to_char(day, 'YYYYMMDD'), day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
            made := made + 1;
        end if;
    end loop;
    return made;
end
$$;

-- Drops the partitions of all days before `first`; how many these were.
create function drop_event_partitions(first date) returns int language plpgsql as $$
declare
    old text;
    dropped int := 0;
begin
    for old in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = to_regclass('events') and c.relname ~ '^events_[0-9]{8}$'
          and to_date(right(c.relname, 8), 'YYYYMMDD') < first
        order by c.relname
    loop
        execute format('drop table %I', old);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;
