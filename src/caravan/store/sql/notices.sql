-- name: failed
-- Batches that have failed since.
select id, journey_id as journey, error, finished_at as at from batches
where state = 'failed' and finished_at > %(since)s order by finished_at

-- name: stuck
-- Contacts that have become stuck since, by batch, step and reason.
select batch_id as batch, step, reason, sum(size) as contacts, max(stuck_at) as at from cohorts
where stuck_at > %(since)s and closed_at is null group by batch_id, step, reason order by max(stuck_at)
