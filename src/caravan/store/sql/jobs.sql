-- name: by_queue
select queue_name as queue, status::text as status, count(*) as jobs
from procrastinate_jobs where status in ('todo', 'doing') group by 1, 2 order by 1, 2

-- name: next_due
-- Of each queue: whether a job waits that may run now, and in how many seconds the next one falls due.
select queue,
    exists (select from procrastinate_jobs
            where status = 'todo' and queue_name = queue and scheduled_at is null)
    or exists (select from procrastinate_jobs
               where status = 'todo' and queue_name = queue and scheduled_at <= now()) as ready,
    (select extract(epoch from min(scheduled_at) - now())::float8 from procrastinate_jobs
     where status = 'todo' and queue_name = queue and scheduled_at > now()) as seconds
from unnest(%(queues)s::text[]) as queue

-- name: beat
-- A heartbeat of these workers, all of one process; the jobs that some of them have in their hands.
with beat as (
    update procrastinate_workers set last_heartbeat = now() where id = any(%(workers)s)
)
select id, worker_id as worker, task_name as task, args from procrastinate_jobs
where status = 'doing' and worker_id = any(%(looked_after)s)

-- name: silent
-- Workers that run jobs and gave no heartbeat for `silence` seconds; a row without id if jobs are claimed by no worker.
select w.id, w.last_heartbeat as heard
from procrastinate_workers w
where w.last_heartbeat < now() - make_interval(secs => %(silence)s)
  and exists (select from procrastinate_jobs j where j.worker_id = w.id and j.status = 'doing')
union all
select null, null where exists (select from procrastinate_jobs where status = 'doing' and worker_id is null)

-- name: orphaned
-- The jobs that these workers run, and those that no worker does.
select id, worker_id as worker, task_name as task, args from procrastinate_jobs
where status = 'doing' and (worker_id = any(%(workers)s) or worker_id is null)

-- name: lock
-- A job, if it still belongs to this worker (null: to none) and no other process puts it back just now.
select id from procrastinate_jobs
where id = %(job)s and status = 'doing' and worker_id is not distinct from %(worker)s
for update skip locked

-- name: put_back
-- Procrastinate tells workers of new jobs only; of this one we do, in its words.
select procrastinate_retry_job_v2(%(job)s, now() + make_interval(secs => %(rest)s), null, null, null),
    pg_notify('procrastinate_queue_v1#' || queue_name, json_build_object('type', 'job_inserted', 'job_id', id)::text)
from procrastinate_jobs where id = %(job)s

-- name: drop
select procrastinate_finish_job_v1(%(job)s, 'aborted', true)

-- name: finish_own
-- Note a job's end, unless another worker has it meanwhile; whether its successor waits, which its lock kept from running.
with own as (
    select id, lock from procrastinate_jobs
    where id = %(job)s and status = 'doing' and worker_id = %(worker)s for update
)
select procrastinate_finish_job_v1(id, %(status)s::procrastinate_job_status, %(delete)s),
    exists (select from procrastinate_jobs where queueing_lock = own.lock and status = 'todo') as successor
from own

-- name: retry_own
-- Have a job done once more, unless another worker has it meanwhile.
with own as (
    select id from procrastinate_jobs
    where id = %(job)s and status = 'doing' and worker_id = %(worker)s for update
)
select procrastinate_retry_job_v2(id, %(at)s, %(priority)s, %(queue)s, %(lock)s), false as successor from own

-- name: hasten
-- Jobs of these cohorts that wait for a later time run now.
with hastened as (
    update procrastinate_jobs set scheduled_at = null
    where status = 'todo' and scheduled_at > now()
      and queueing_lock = any(select 'cohort:' || id from unnest(%(cohorts)s::bigint[]) id)
    returning id, queue_name
)
select pg_notify('procrastinate_queue_v1#' || queue_name, json_build_object('type', 'job_inserted', 'job_id', id)::text)
from hastened
