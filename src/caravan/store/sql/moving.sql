-- name: open
-- The batch of the newest version that takes the contacts of another one, which the caller has locked.
insert into batches (id, customer_id, journey_id, version, starter, state, gathers, created_at, started_at, paused_at,
    freeze_waits, sends_until, moved_from)
select %(id)s, b.customer_id, b.journey_id, %(version)s, b.starter, 'running', false, %(now)s, b.started_at, b.paused_at,
    b.freeze_waits, b.sends_until, b.id
from batches b where b.id = %(batch)s
on conflict do nothing

-- name: target
select id from batches where moved_from = %(batch)s and version = %(version)s and state = 'running'

-- name: older
-- The batches of a journey that run in an older version, in the order in which they may be locked.
select id from batches
where customer_id = %(customer)s and journey_id = %(journey)s and version < %(version)s and state = 'running' order by id

-- name: cohorts
select id from cohorts where batch_id = %(batch)s and closed_at is null order by id

-- name: move_entries
-- Who has entered a journey that does not let everybody in again has entered by the other batch now.
update entries set batch_id = %(to)s
where customer_id = %(customer)s and journey_id = %(journey)s and batch_id = %(batch)s
  and contact = any(%(contacts)s::uuid[])
