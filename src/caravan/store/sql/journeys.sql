-- name: lock_journey
-- Makes the journey's row if there is none (version 0) and locks it, so that versions are numbered without gaps.
insert into journeys (customer_id, id, name, version) values (%(customer)s, %(journey)s, %(name)s, 0)
on conflict (customer_id, id) do update set name = excluded.name
returning version

-- name: same_definition
select definition = %(definition)s and (%(plain)s or source is not distinct from %(source)s) as same from journey_versions
where customer_id = %(customer)s and journey_id = %(journey)s and version = %(version)s

-- name: add_version
insert into journey_versions (customer_id, journey_id, version, definition, source, published_at)
values (%(customer)s, %(journey)s, %(version)s, %(definition)s, %(source)s, %(now)s)

-- name: set_version
update journeys set version = %(version)s where customer_id = %(customer)s and id = %(journey)s

-- name: latest
select v.journey_id as journey, v.version, v.definition, v.published_at
from journeys j join journey_versions v
  on v.customer_id = j.customer_id and v.journey_id = j.id and v.version = j.version
where j.customer_id = %(customer)s and j.id = %(journey)s

-- name: version
select journey_id as journey, version, definition, published_at from journey_versions
where customer_id = %(customer)s and journey_id = %(journey)s and version = %(version)s

-- name: is_published
select version > 0 as there from journeys where customer_id = %(customer)s and id = %(journey)s

-- name: source
select source from journey_versions
where customer_id = %(customer)s and journey_id = %(journey)s and version = %(version)s

-- name: versions
select journey_id as journey, version, definition ->> 'name' as name, published_at from journey_versions
where customer_id = %(customer)s and journey_id = %(journey)s order by version desc

-- name: set_paused
update journeys set paused_at = %(now)s where customer_id = %(customer)s and id = %(journey)s returning id

-- name: share
-- A pause, resume or cancel of the journey waits until the end of this transaction: it locks the journey first, and then
-- its batches.
select id from journeys where customer_id = %(customer)s and id = %(journey)s for share

-- name: open_batches
-- All of them locked until the end, also those that can't be changed so: they must not start before it is known that
-- their journey is paused. In the order of their ids, so that two calls can't deadlock.
select id from batches where customer_id = %(customer)s and journey_id = %(journey)s and finished_at is null order by id
for update

-- name: journeys
select j.id as journey, j.version, j.name, v.published_at
from journeys j join journey_versions v
  on v.customer_id = j.customer_id and v.journey_id = j.id and v.version = j.version
where j.customer_id = %(customer)s order by j.id
