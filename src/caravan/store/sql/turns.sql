-- name: take
-- The place in a queue for the batch's next `cost` contacts: behind its own, and not before what is served already. Senders
-- may have begun with cohorts far behind, because those before them were not there yet (they were just being shared out);
-- so what waits foremost counts as well, if that is less.
with now as (
    select least(coalesce((select turn from queue_turns where queue = %(queue)s), 0), (
        select -priority::bigint * %(unit)s from procrastinate_jobs j
        where status = 'todo' and queue_name = %(queue)s and priority <= 0
          and (scheduled_at is null or scheduled_at <= now())
          and not exists (select from procrastinate_jobs d where d.lock = j.lock and d.status = 'doing')
        order by priority desc, id limit 1
    )) as turn
)
insert into turns as t (batch_id, queue, turn) select %(batch)s, %(queue)s, turn + %(cost)s from now
on conflict (batch_id, queue) do update set turn = greatest(t.turn, (select turn from now)) + %(cost)s
returning turn - %(cost)s as turn

-- name: note_served
-- A cohort with this turn is served now. One that does not bring the queue's time forward does so by a part of its cost,
-- so that newcomers, however many, pass by the others only for a while.
insert into queue_turns as q (queue, turn) values (%(queue)s, %(turn)s)
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
