-- name: add
-- Add changes to the totals, with those that transactions left. In the order of the keys, in which all processes lock
-- them. A name that ends in _timestamp_seconds is a moment, of which the latest counts.
with counted as (
    delete from metric_changes returning name, labels, value
), changes as (
    select name, labels, value from counted
    union all
    select * from unnest(%(names)s::text[], %(labels)s::text[]::jsonb[], %(values)s::double precision[])
)
insert into metrics (name, labels, value)
select name, labels, case when name like '%%\_timestamp\_seconds' then max(value) else sum(value) end
from changes group by name, labels order by name, labels
on conflict (name, labels) do update set value = case
    when excluded.name like '%%\_timestamp\_seconds' then greatest(metrics.value, excluded.value)
    else metrics.value + excluded.value
end

-- name: totals
select name, labels, value from metrics

-- name: count
insert into metric_changes (name, labels, value) values (%(name)s, %(labels)s::jsonb, %(value)s)

-- name: workers
-- Workers that were heard within `seconds`; the seconds since any was heard; and the longest such time of those that
-- have jobs running.
select count(*) filter (where age < %(seconds)s) as heard, min(age) as last, max(age) filter (where busy) as silent
from (
    select extract(epoch from now() - w.last_heartbeat)::double precision as age,
        exists (select from procrastinate_jobs j where j.worker_id = w.id and j.status = 'doing') as busy
    from procrastinate_workers w
) ages
