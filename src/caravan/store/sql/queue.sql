-- name: jobs_by_queue
select queue_name as queue, status::text as status, count(*) as jobs
from procrastinate_jobs where status in ('todo', 'doing') group by 1, 2 order by 1, 2

-- name: beat
-- A sign of life of all workers of one process.
update procrastinate_workers set last_heartbeat = now() where id = any(%(workers)s)

-- name: silent
-- Workers that have jobs in hand and gave no sign of life for `silence` seconds.
select w.id, w.last_heartbeat as heard
from procrastinate_workers w
where w.last_heartbeat < now() - make_interval(secs => %(silence)s)
  and exists (select from procrastinate_jobs j where j.worker_id = w.id and j.status = 'doing')

-- name: jobs_of_gone
-- What these workers have in hand, and what is in nobody's.
select id, worker_id as worker, task_name as task, args from procrastinate_jobs
where status = 'doing' and (worker_id = any(%(workers)s) or worker_id is null)

-- name: jobs_of
select id, worker_id as worker, task_name as task, args from procrastinate_jobs
where status = 'doing' and worker_id = any(%(workers)s)

-- name: lock_job
-- A job, if it is still in the hands of this worker (null: of nobody) and no other process puts it back just now.
select id from procrastinate_jobs
where id = %(job)s and status = 'doing' and worker_id is not distinct from %(worker)s
for update skip locked

-- name: put_back
select procrastinate_retry_job_v2(%(job)s, now() + make_interval(secs => %(rest)s), null, null, null)

-- name: drop_job
select procrastinate_finish_job_v1(%(job)s, 'aborted', true)

-- name: finish_own
-- Note a job's end, unless another worker has it meanwhile.
with own as (
    select id from procrastinate_jobs
    where id = %(job)s and status = 'doing' and worker_id = %(worker)s for update
)
select procrastinate_finish_job_v1(id, %(status)s::procrastinate_job_status, %(delete)s) from own

-- name: retry_own
-- Have a job done once more, unless another worker has it meanwhile.
with own as (
    select id from procrastinate_jobs
    where id = %(job)s and status = 'doing' and worker_id = %(worker)s for update
)
select procrastinate_retry_job_v2(id, %(at)s, %(priority)s, %(queue)s, %(lock)s) from own
