-- name: take
-- The place in a queue for the batch's next `cost` contacts: behind its own, and not before the queue's time.
insert into turns as t (batch_id, queue, turn)
select %(batch)s, %(queue)s, %(cost)s + coalesce((select turn from queue_turns where queue = %(queue)s), 0)
on conflict (batch_id, queue) do update
set turn = greatest(t.turn, coalesce((select turn from queue_turns where queue = %(queue)s), 0)) + %(cost)s
returning turn - %(cost)s as turn

-- name: note_served
-- A cohort with this turn is served now: the queue's time is its turn, or that of what waits foremost, or of a cohort with
-- which its worker has not begun to send (it may only share it out), whichever is least. So a sender that begins far
-- behind, because what is before it is not there yet, puts no newcomer behind that. Where that does not bring the time
-- forward, a part of the cost does: newcomers, however many, pass by the others only for a while.
with foremost as (
    select least(%(turn)s::bigint, (
        select -priority::bigint * %(unit)s from procrastinate_jobs j
        where status = 'todo' and queue_name = %(queue)s and priority <= 0
          and (scheduled_at is null or scheduled_at <= now())
          and not exists (select from procrastinate_jobs d where d.lock = j.lock and d.status = 'doing')
        order by priority desc, id limit 1
    ), (
        select min(c.turn) from procrastinate_jobs j join cohorts c on c.id = (j.args ->> 'cohort')::bigint
        where j.status = 'doing' and j.queue_name = %(queue)s and c.closed_at is null
          and not exists (select from windows where cohort_id = c.id)
    )) as turn
)
insert into queue_turns as q (queue, turn) select %(queue)s, turn from foremost
on conflict (queue) do update
set turn = case when excluded.turn > q.turn then excluded.turn else q.turn + %(progress)s end

-- name: first_in_line
-- The highest priority of a job that could run now. One whose lock another job holds could not.
select priority from procrastinate_jobs j
where status = 'todo' and queue_name = %(queue)s and priority <= %(highest)s
  and (scheduled_at is null or scheduled_at <= now())
  and not exists (select from procrastinate_jobs d where d.lock = j.lock and d.status = 'doing')
order by priority desc, id limit 1

-- name: set_turn
update cohorts set turn = %(turn)s where id = %(cohort)s

-- name: forget
-- All cohorts of a batch take their places anew.
with forgotten as (delete from turns where batch_id = %(batch)s)
update cohorts set turn = null where batch_id = %(batch)s and closed_at is null and turn is not null
