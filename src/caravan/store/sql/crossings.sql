-- name: newest
-- The newest version of a journey, and the batch that takes contacts which cross into it.
select j.version, j.guarded, b.id as batch
from journeys j
left join batches b on b.customer_id = j.customer_id and b.journey_id = j.id and b.version = j.version
    and b.crosses and b.state = 'running' and b.created_at > %(since)s
where j.customer_id = %(customer)s and j.id = %(journey)s and j.version > 0

-- name: stop
-- One of so long ago takes nobody any more.
update batches set crosses = false
where customer_id = %(customer)s and journey_id = %(journey)s and version = %(version)s
  and crosses and state = 'running' and created_at <= %(since)s

-- name: open
-- Unless another process has just done so.
insert into batches
    (id, customer_id, journey_id, version, starter, state, gathers, crosses, created_at, started_at, paused_at)
select %(id)s, %(customer)s, %(journey)s, j.version, 'single', 'running', false, true, %(now)s, %(now)s,
    case when j.paused_at is not null then %(now)s::timestamptz end
from journeys j where j.customer_id = %(customer)s and j.id = %(journey)s and j.version = %(version)s
on conflict do nothing

-- name: number
-- The first of so many lines that nobody else is given.
update batches set numbered = numbered + %(count)s where id = %(id)s returning numbered - %(count)s + 1 as first

-- name: unused
-- Batches that were opened for contacts of others, of whom none has come. In the order in which they may be locked.
select id from batches
where (crosses or moved_from is not null) and state = 'running' and entered = 0 and created_at <= %(before)s order by id
