-- When the next job of a queue falls due (store/jobs.py: next_due), however many are scheduled.

create index procrastinate_jobs_due on procrastinate_jobs (queue_name, scheduled_at) where status = 'todo';
