-- name: lock_journey
-- Makes the journey's row if there is none (version 0) and locks it, so that versions are numbered without gaps.
insert into journeys (customer_id, id, name, version) values (%(customer)s, %(journey)s, %(name)s, 0)
on conflict (customer_id, id) do update set name = excluded.name
returning version

-- name: publish_alone
select pg_advisory_xact_lock(hashtextextended('journeys:' || %(customer)s, 0))

-- name: same_definition
select definition = %(definition)s and (%(plain)s or source is not distinct from %(source)s) as same from journey_versions
where customer_id = %(customer)s and journey_id = %(journey)s and version = %(version)s

-- name: add_version
insert into journey_versions (customer_id, journey_id, version, definition, source, published_at)
values (%(customer)s, %(journey)s, %(version)s, %(definition)s, %(source)s, %(now)s)

-- name: set_version
update journeys set version = %(version)s, guarded = %(guarded)s where customer_id = %(customer)s and id = %(journey)s

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

-- name: standing
-- How many contacts of batches that have not ended stand at which step of which version.
select b.version, c.step, sum(c.size)::bigint as contacts
from batches b join cohorts c on c.batch_id = b.id and c.closed_at is null
where b.customer_id = %(customer)s and b.journey_id = %(journey)s and b.finished_at is null
group by b.version, c.step order by b.version desc, c.step

-- name: before_entry
-- Batches whose contacts have not entered yet, by their version, which one without a file does not have yet.
select version, count(*) as batches from batches
where customer_id = %(customer)s and journey_id = %(journey)s and finished_at is null and state <> 'running'
group by version order by version desc nulls first

-- name: listed
select j.id as journey, j.version, j.name, v.published_at, j.paused_at, coalesce(o.batches, 0) as batches
from journeys j
join journey_versions v on v.customer_id = j.customer_id and v.journey_id = j.id and v.version = j.version
left join (
    select journey_id, count(*) as batches from batches
    where customer_id = %(customer)s and finished_at is null group by journey_id
) o on o.journey_id = j.id
where j.customer_id = %(customer)s and (%(journey)s::bigint is null or j.id = %(journey)s) order by j.id

-- name: under_way
-- In one statement, so that all is of one moment.
with open as (
    select id, entered from batches
    where customer_id = %(customer)s and journey_id = %(journey)s and finished_at is null
)
select (select count(*) from open) as batches,
    (select coalesce(sum(entered), 0)::bigint from open) as entered,
    (select coalesce(sum(s.standing), 0)::bigint from ledger_steps s join open on open.id = s.batch_id) as standing,
    (select coalesce(sum(o.contacts), 0)::bigint from ledger_outcomes o join open on open.id = o.batch_id
     where o.outcome = 'sent') as sent,
    (select coalesce(sum(w.size), 0)::bigint from windows w join cohorts c on c.id = w.cohort_id
     join open on open.id = c.batch_id where w.record is not null) as settled

-- name: publishers
-- Of the newest acts on a customer only: the log has no index by subject.
select distinct on (version) version, name from (
    select id, coalesce(nullif(actor_label, ''), actor_name) as name, (detail ->> 'version')::integer as version
    from (select * from audit where customer_id = %(customer)s order by id desc limit 5000) recent
    where subject = %(subject)s and act = 'publish' and jsonb_typeof(detail -> 'version') = 'number'
) published order by version, id
