-- name: create_history
-- Which of Procrastinate's migrations this database has.
create table if not exists queue_migrations (
    name text primary key,
    applied_at timestamptz not null default now()
)

-- name: there
-- Whether Procrastinate's tables and the history of their migrations exist.
select to_regclass('procrastinate_jobs') is not null as queue, to_regclass('queue_migrations') is not null as history

-- name: history
select name from queue_migrations

-- name: remember
insert into queue_migrations (name) values (%(name)s) on conflict do nothing

-- name: last_seen
-- Databases that were made before there was a history: the last migration whose traces are there.
select last from (values
    ('03.00.00_01', exists (select from pg_attribute where attrelid = to_regclass('procrastinate_jobs')
        and attname = 'abort_requested')),
    ('03.00.00_50', exists (select from pg_proc where proname = 'procrastinate_trigger_function_scheduled_events_v1')),
    ('03.01.00_01', to_regclass('procrastinate_workers') is not null),
    ('03.01.00_50', to_regclass('procrastinate_workers') is not null
        and not exists (select from pg_proc where proname = 'procrastinate_fetch_job_v1')),
    ('03.02.00_01', exists (select from pg_proc where proname = 'procrastinate_defer_jobs_v1')),
    ('03.02.00_50', exists (select from pg_proc where proname = 'procrastinate_defer_jobs_v1')
        and not exists (select from pg_proc where proname = 'procrastinate_defer_job_v1')),
    ('03.03.00_01', exists (select from pg_proc where proname = 'procrastinate_fetch_job_v2'
        and prosrc like '%%other_jobs%%')),
    ('03.04.00_01', exists (select from pg_proc where proname = 'procrastinate_retry_job_v2')),
    ('03.04.00_50', exists (select from pg_proc where proname = 'procrastinate_trigger_function_status_events_update_v1'
        and prosrc like '%%retried%%'))
) as traces (last, found) where found order by last desc limit 1

-- name: has_workers
select to_regclass('procrastinate_workers') is not null as there

-- name: any_worker
-- Whether a worker, of whatever version, has shown within a minute that it lives.
select exists (select from procrastinate_workers where last_heartbeat > now() - interval '1 minute') as there
