-- name: jobs_by_lane
select queue_name as lane, status::text as status, count(*) as jobs
from procrastinate_jobs where status in ('todo', 'doing') group by 1, 2 order by 1, 2
