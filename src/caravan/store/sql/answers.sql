-- name: cohorts_at
-- Cohorts whose contacts are being asked about at a step, or stand there for the answer.
select id, file from cohorts
where batch_id = %(batch)s and step = %(step)s and visit = %(visit)s and closed_at is null
  and (not asked or (holder is null and due_at > %(now)s))
order by id

-- name: stands
-- Held until the caller's commit. The database's own clock is asked as well: by that the events that were taken before a
-- cohort fell due are told from those that came later.
select from cohorts c join batches b on b.id = c.batch_id
where c.id = %(cohort)s and c.closed_at is null and b.state = 'running'
  and (not c.asked or (c.holder is null and c.due_at > greatest(%(now)s, clock_timestamp())))
for share of c
