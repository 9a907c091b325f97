-- name: listen
insert into listening (cohort_id, customer_id, batch_id, events, since, exits, exits_since)
values (%(cohort)s, %(customer)s, %(batch)s, %(events)s, %(since)s, %(exits)s, %(exits_since)s)

-- name: share
-- Whoever takes events shares this until its commit. Of its own, so that the next statement sees what is committed by then.
select pg_advisory_xact_lock_shared(%(class)s, %(customer)s)

-- name: exclude
-- Waits for the end of all that take events just now and may have seen a job that has begun, or no one who listens.
select pg_advisory_xact_lock(%(class)s, %(customer)s)

-- name: listened
-- The events that a customer's standing cohorts listen for, and whether a job that matches them is in the queue.
select array_agg(distinct name) as events,
    exists (select from procrastinate_jobs where queueing_lock = %(lock)s and status = 'todo') as queued
from (
    select distinct events || exits as events from listening where customer_id = %(customer)s
) l cross join lateral unnest(l.events) as e (name)

-- name: add_unmatched
insert into unmatched_events (customer_id, events) values (%(customer)s, %(events)s)

-- name: defer_match
-- Soon: what comes until then is matched together, and moves together.
select procrastinate_defer_jobs_v1(array[row(
    %(queue)s, %(task)s, %(priority)s, %(lock)s, %(lock)s, jsonb_build_object('customer', %(customer)s::bigint),
    now() + make_interval(secs => %(delay)s)
)::procrastinate_job_to_defer_v1])

-- name: unmatched
-- The oldest groups of a customer's events that are to be matched.
select id, events from unmatched_events where customer_id = %(customer)s order by id limit %(limit)s

-- name: delete_unmatched
delete from unmatched_events where id = any(%(ids)s)

-- name: any_unmatched
select exists (select from unmatched_events where customer_id = %(customer)s) as there

-- name: listeners
-- A customer's cohorts that listen, in batches that run or are paused.
select c.id, c.file, c.step, c.visit, c.due_at, c.entered_at, l.batch_id as batch, l.events, l.since, l.exits,
    l.exits_since, l.look,
    b.journey_id as journey, b.version, b.paused_at is not null as paused
from listening l
join cohorts c on c.id = l.cohort_id
join batches b on b.id = l.batch_id
where l.customer_id = %(customer)s and c.closed_at is null and b.state = 'running'
order by c.id

-- name: kept
-- Events of these names that are kept, in the order in which they happened, from behind one of them on.
select id, contact, name, at, properties, batch_id as batch, step, visit, line from events
where customer_id = %(customer)s and name = any(%(names)s) and at >= %(since)s
  and (%(after_at)s::timestamptz is null or (at, id) > (%(after_at)s, %(after_id)s::bigint))
order by at, id limit %(limit)s

-- name: looked
update listening set look = false where cohort_id = any(%(cohorts)s)

-- name: look_again
update listening set look = true where cohort_id = any(%(cohorts)s)

-- name: any_looking
select exists (select from listening where batch_id = %(batch)s and look) as there

-- name: unsettled
-- Whether events that were taken before a cohort fell due are still to be matched with it.
select exists (select from listening where cohort_id = %(cohort)s and look)
    or exists (
        select from unmatched_events u join listening l on l.cohort_id = %(cohort)s
        where u.customer_id = l.customer_id and u.taken_at <= %(due)s
    ) as there

-- name: departed_among
select cohort_id, place from departures
join unnest(%(cohorts)s::bigint[], %(places)s::int[]) as p (cohort_id, place) using (cohort_id, place)

-- name: departed
select place from departures where cohort_id = %(cohort)s order by place

-- name: departed_of_batch
-- Who has left the cohorts of a batch that still stand.
select d.cohort_id, d.place from listening l
join cohorts c on c.id = l.cohort_id join departures d on d.cohort_id = l.cohort_id
where l.batch_id = %(batch)s and c.closed_at is null

-- name: lock_cohorts
-- Those of the cohorts that still stand, in one order.
select id, size, holder is not null as claimed, due_at, turn from cohorts
where id = any(%(cohorts)s) and closed_at is null order by id for no key update

-- name: depart
insert into departures (cohort_id, place)
select cohort_id, place from unnest(%(cohorts)s::bigint[], %(places)s::int[]) as p (cohort_id, place)
on conflict do nothing

-- name: shrink
-- They stand without those who left; a claim is void, since it does not know of that.
update cohorts c set size = c.size - p.gone, holder = null
from unnest(%(cohorts)s::bigint[], %(gone)s::int[]) as p (id, gone)
where c.id = p.id and c.size > p.gone

-- name: close_emptied
update cohorts set closed_at = %(now)s, holder = null where id = any(%(cohorts)s)

-- name: forget
-- What is known of cohorts that are closed.
with gone as (delete from departures where cohort_id = any(%(cohorts)s))
delete from listening where cohort_id = any(%(cohorts)s)

-- name: forget_closed
with closed as (
    select l.cohort_id from listening l join cohorts c on c.id = l.cohort_id where c.closed_at is not null
), gone as (delete from departures where cohort_id in (select cohort_id from closed))
delete from listening where cohort_id in (select cohort_id from closed)

-- name: forget_unheard
-- Events to be matched of customers of whom nobody listens any more.
delete from unmatched_events u where not exists (select from listening l where l.customer_id = u.customer_id)

-- name: waiting_customers
-- Customers with something to be matched.
select customer_id as customer from unmatched_events
union select l.customer_id from listening l join batches b on b.id = l.batch_id
where l.look and b.state = 'running' and b.paused_at is null

-- name: standing_files
-- The files of all cohorts that listen.
select c.file from listening l join cohorts c on c.id = l.cohort_id where c.closed_at is null
