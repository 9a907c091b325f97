-- name: outcomes
-- How contacts of a customer left each step, in its newest batches of those that ran since then.
with recent as (
    select id, journey_id, version from batches
    where customer_id = %(customer)s and version is not null and started_at is not null
      and (finished_at is null or finished_at >= %(since)s)
    order by created_at desc, id desc limit %(batches)s
)
select r.journey_id as journey, r.version, o.batch_id as batch, o.step, o.outcome, o.contacts
from recent r join ledger_outcomes o on o.batch_id = r.id
order by o.batch_id, o.step, o.outcome

-- name: held
-- Why contacts of a customer are still at a step, with the most frequent reasons first; who stands for a pace is not
-- among them.
select b.journey_id as journey, b.version, c.step, c.reason, sum(c.size)::bigint as contacts, min(c.due_at) as due_at
from batches b join cohorts c on c.batch_id = b.id
where b.customer_id = %(customer)s and b.finished_at is null and b.version is not null
  and c.closed_at is null and c.reason is not null and c.paced is null and not c.stands
group by b.journey_id, b.version, c.step, c.reason order by contacts desc, c.reason limit %(most)s

-- name: under_way
-- What became of the messages of the newest settled windows of a customer, whose cohorts have not moved yet.
select b.journey_id as journey, b.version, c.step, w.record
from batches b join cohorts c on c.batch_id = b.id join windows w on w.cohort_id = c.id
where b.customer_id = %(customer)s and b.finished_at is null and b.version is not null
  and c.closed_at is null and w.record is not null
order by w.taken_at desc limit %(most)s

-- name: last_heard
-- When the other side of each channel was last reached, and could last not be reached, in seconds since 1970.
select labels ->> 'channel' as channel,
    max(value) filter (where name = 'caravan_channel_reached_timestamp_seconds') as reached,
    max(value) filter (where name = 'caravan_channel_unreachable_timestamp_seconds') as unreachable
from metrics
where name in ('caravan_channel_reached_timestamp_seconds', 'caravan_channel_unreachable_timestamp_seconds')
group by labels ->> 'channel'
