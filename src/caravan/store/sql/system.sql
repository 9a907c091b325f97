-- name: queues
-- Of each queue: jobs that could run now, that are scheduled for later, and that run; and for how many seconds the one
-- that could run has waited longest, since it was deferred or fell due.
select queue, count(j.id) filter (where j.ready) as ready, count(j.id) filter (where j.later) as later,
    count(j.id) filter (where j.status = 'doing') as doing,
    extract(epoch from now() - least(min(j.scheduled_at) filter (where j.ready), (
        select e.at from procrastinate_events e
        where e.job_id = min(j.id) filter (where j.ready and j.scheduled_at is null) and e.type = 'deferred' limit 1
    )))::float8 as oldest
from unnest(%(queues)s::text[]) with ordinality as q (queue, place)
left join lateral (
    select id, status, scheduled_at, status = 'todo' and coalesce(scheduled_at, now()) <= now() as ready,
        status = 'todo' and scheduled_at > now() as later
    from procrastinate_jobs where queue_name = q.queue and status in ('todo', 'doing')
) j on true
group by queue, place order by place

-- name: running
-- Jobs that run: which worker has them, how long ago it was heard, and for how long they run; the most silent first.
select w.id as worker, extract(epoch from now() - w.last_heartbeat)::float8 as age,
    j.queue_name as queue, j.task_name as task, coalesce(j.args->>'batch', c.batch_id) as batch,
    b.customer_id as customer,
    extract(epoch from now() - (
        select max(e.at) from procrastinate_events e where e.job_id = j.id and e.type = 'started'
    ))::float8 as running
from procrastinate_workers w
join procrastinate_jobs j on j.worker_id = w.id and j.status = 'doing'
left join cohorts c on j.task_name = 'advance' and c.id = (j.args->>'cohort')::bigint
left join batches b on b.id = coalesce(j.args->>'batch', c.batch_id)
order by w.last_heartbeat, j.id limit %(limit)s

-- name: stuck
-- Contacts that only a retry by command takes up again, by batch, step and reason; the oldest first.
select b.customer_id as customer, c.batch_id as batch, c.step, c.reason, sum(c.size) as contacts, min(c.stuck_at) as since
from cohorts c join batches b on b.id = c.batch_id
where c.stuck_at is not null and c.closed_at is null
group by b.customer_id, c.batch_id, c.step, c.reason order by min(c.stuck_at) limit %(limit)s

-- name: hindered
-- Batches whose file can't be got or read just now, and why.
select customer_id as customer, id as batch, hindrance from batches
where hindrance is not null and finished_at is null order by created_at limit %(limit)s

-- name: database
-- The connections of all, also to other databases of the server, and ours; transactions that are open for long.
select current_setting('server_version') as version,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
    (select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend') as own,
    (select count(*) from pg_stat_activity where datname = current_database() and state = 'active'
        and pid <> pg_backend_pid() and backend_type = 'client backend') as active,
    (select extract(epoch from now() - min(xact_start))::float8 from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()) as longest,
    pg_database_size(current_database()) as bytes

-- name: schema
select max(number) as number from migrations
