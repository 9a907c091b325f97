-- name: stop_gathering
-- Singles from now on enter another batch than one of so long ago.
update batches set gathers = false
where customer_id = %(customer)s and journey_id = %(journey)s
  and version = (select version from journeys where customer_id = %(customer)s and id = %(journey)s)
  and starter = 'single' and state = 'running' and gathers and created_at <= %(since)s

-- name: open_gathering
insert into batches (id, customer_id, journey_id, version, starter, state, created_at, started_at, paused_at)
select %(id)s, %(customer)s, %(journey)s, j.version, 'single', 'running', %(now)s, %(now)s,
    case when j.paused_at is not null then %(now)s::timestamptz end
from journeys j where j.customer_id = %(customer)s and j.id = %(journey)s and j.version > 0
for share of j
on conflict do nothing

-- name: add
-- Singles arrive in the open batches of their journeys' newest versions. What comes back are these, and whether a job that
-- gathers them is in the queue; one that begins just now waits for the batch and finds them. Those of journeys that do not
-- let everybody in again (`guarded`) are left out. The batches are shared, so
-- that many calls add at once; a move or a gathering takes the row alone and shuts them out. In the order of their ids,
-- in which every transaction locks that locks several.
with place as materialized (
    select b.customer_id, b.journey_id, b.id, b.version, j.guarded
    from (
        select distinct customer, journey
        from unnest(%(customers)s::bigint[], %(journeys)s::bigint[]) as k (customer, journey)
    ) k
    join journeys j on j.customer_id = k.customer and j.id = k.journey
    join batches b on b.customer_id = j.customer_id and b.journey_id = j.id and b.version = j.version
    where b.starter = 'single' and b.state = 'running' and b.gathers and b.created_at > %(since)s
    order by b.id
    for key share of b
), added as (
    insert into arrivals (batch_id, contact, properties)
    select p.id, a.contact, a.properties
    from unnest(%(customers)s::bigint[], %(journeys)s::bigint[], %(contacts)s::text[], %(properties)s::text[])
        with ordinality as a (customer, journey, contact, properties, number)
    join place p on p.customer_id = a.customer and p.journey_id = a.journey and not p.guarded
    order by a.number
)
select customer_id, journey_id, id, version, guarded, exists (
    select from procrastinate_jobs where queueing_lock = %(lock)s || id and status = 'todo'
) as queued
from place

-- name: add_admitted
insert into arrivals (batch_id, contact, properties)
select %(batch)s, contact, properties
from unnest(%(contacts)s::text[], %(properties)s::text[]) with ordinality as a (contact, properties, number)
order by number

-- name: last
select max(id) as id from arrivals where batch_id = %(id)s

-- name: oldest
-- The oldest that wait, up to the arrival `last`: at most `limit`, and of some `bytes` together, but for the first.
select id, contact, properties from (
    select id, contact, properties, sum(octet_length(properties)) over (order by id) - octet_length(properties) as before
    from arrivals where batch_id = %(id)s and id <= %(last)s order by id limit %(limit)s
) oldest
where before < %(bytes)s order by id

-- name: take
delete from arrivals where id = any(%(ids)s) returning id

-- name: any_waiting
select exists (select from arrivals where batch_id = %(id)s) as there

-- name: enter
-- Gathered singles enter as lines that were all accepted.
update batches set lines = lines + %(contacts)s, entered = entered + %(contacts)s, hindrance = null, deaths = 0
where id = %(id)s
