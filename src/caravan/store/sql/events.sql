-- name: add_keys
-- Remembers the keys of events; only those that are new come back. Of the same one in several transactions all but one
-- wait for its end. In one order, so that none of them can deadlock.
insert into event_keys (customer_id, digest, taken_on)
select %(customer)s, digest, (now() at time zone 'UTC')::date from unnest(%(digests)s::uuid[]) as k (digest) order by digest
on conflict (customer_id, digest) do nothing
returning digest

-- name: add
insert into events (customer_id, contact, name, at, properties, source, key, batch_id, step, visit, line)
select %(customer)s, e.*
from unnest(%(contacts)s::text[], %(names)s::text[], %(ats)s::timestamptz[], %(properties)s::text[], %(sources)s::text[],
    %(keys)s::text[], %(batches)s::text[], %(steps)s::text[], %(visits)s::int[], %(lines)s::bigint[])
    as e (contact, name, at, properties, source, key, batch_id, step, visit, line)

-- name: count
-- Counts what came back to the deliveries of batches, in one order.
insert into batch_events (batch_id, step, event, events)
select c.* from unnest(%(batches)s::text[], %(steps)s::text[], %(events)s::text[], %(counts)s::bigint[])
    as c (batch_id, step, event, events)
order by c.batch_id, c.step, c.event
on conflict (batch_id, step, event) do update set events = batch_events.events + excluded.events

-- name: came_back
select step, event, events from batch_events where batch_id = %(batch)s order by step, event

-- name: of_contact
-- Newest first, from before one of them on.
select id, name, at, taken_at, properties, source, key, batch_id, step, visit, line from events
where customer_id = %(customer)s and contact = %(contact)s
  and (%(name)s::text is null or name = %(name)s)
  and (%(before_at)s::timestamptz is null or (at, id) < (%(before_at)s, %(before_id)s::bigint))
order by at desc, id desc limit %(limit)s

-- name: of_name
-- The same of one name, whoever did them.
select id, contact, name, at, taken_at, properties, source, key, batch_id, step, visit, line from events
where customer_id = %(customer)s and name = %(name)s
  and (%(before_at)s::timestamptz is null or (at, id) < (%(before_at)s, %(before_id)s::bigint))
order by at desc, id desc limit %(limit)s

-- name: names
-- Which events were taken in the last hours.
select name, count(*) as events, max(at) as last from events
where customer_id = %(customer)s and taken_at > now() - make_interval(hours => %(hours)s)
group by name order by name

-- name: done
-- What some contacts did since then. An event is taken five minutes before it happens at most: so the days before that
-- need not be looked at.
select contact, name, at, properties from events
where customer_id = %(customer)s and contact = any(%(contacts)s) and name = any(%(names)s) and at >= %(since)s
  and taken_at >= %(since)s::timestamptz - interval '10 minutes'
order by at, id

-- name: count_of_contacts
-- As above, days before `since` need not be looked at.
select e.contact, count(*) as events
from unnest(%(contacts)s::text[]) as c (contact) join events e on e.contact = c.contact
where e.customer_id = %(customer)s and e.name = %(name)s and e.at <= %(until)s
  and (%(since)s::timestamptz is null
       or e.at > %(since)s and e.taken_at >= %(since)s::timestamptz - interval '10 minutes')
group by e.contact

-- name: first_of_delivery
select name from events
where customer_id = %(customer)s and contact = %(contact)s and name = any(%(names)s)
  and batch_id = %(batch)s and step = %(step)s and visit = %(visit)s and line = %(line)s
order by id limit 1

-- name: wait_briefly
-- Partitions are made and dropped under locks for which everything that takes events would wait as well.
set local lock_timeout = '500ms'

-- name: make_partitions
-- Those of today and the days after it.
select make_event_partitions((now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + %(ahead)s::int)

-- name: drop_partitions
-- Those whose last event is older than so many days.
select drop_event_partitions((now() at time zone 'UTC')::date - %(days)s::int)

-- name: drop_others
delete from events_other where taken_at < ((now() at time zone 'UTC')::date - %(days)s::int)::timestamp at time zone 'UTC'

-- name: forget_keys
-- Some of the keys whose events are no longer kept.
delete from event_keys where (customer_id, digest) in (
    select customer_id, digest from event_keys
    where taken_on < (now() at time zone 'UTC')::date - %(days)s::int limit %(limit)s
)

-- name: forget_customer
with counts as (delete from batch_events using batches b where b.id = batch_id and b.customer_id = %(customer)s),
    keys as (delete from event_keys where customer_id = %(customer)s)
delete from events where customer_id = %(customer)s
