-- name: add
insert into hits (customer_id, batch_id, step, visit, line, event, link, url, method, at, written_at, agent, prefetch)
select * from unnest(
    %(customers)s::bigint[], %(batches)s::text[], %(steps)s::text[], %(visits)s::int[], %(lines)s::bigint[],
    %(events)s::text[], %(links)s::text[], %(urls)s::text[], %(methods)s::text[], %(ats)s::timestamptz[],
    %(written)s::timestamptz[], %(agents)s::text[], %(prefetches)s::boolean[]
)

-- name: to_judge
-- Those that came so long ago that what came with them is there, too.
select * from hits where verdict is null and at <= %(until)s order by id limit %(limit)s

-- name: waits
select exists (select from hits where verdict is null) as there

-- name: around
-- All hits of the deliveries that these are of, in this time.
select * from hits
where (batch_id, step, visit, line) in (
    select batch_id, step, visit, line from hits where id = any(%(ids)s)
) and at between %(since)s and %(until)s
order by id limit %(limit)s

-- name: settle
update hits h set verdict = j.verdict, because = j.because
from unnest(%(ids)s::bigint[], %(verdicts)s::text[], %(reasons)s::text[]) as j (id, verdict, because)
where h.id = j.id and h.verdict is null
returning h.id

-- name: count
insert into batch_verdicts (batch_id, step, event, verdict, events)
select * from unnest(
    %(batches)s::text[], %(steps)s::text[], %(events)s::text[], %(verdicts)s::text[], %(counts)s::bigint[]
) as n (batch_id, step, event, verdict, events)
order by batch_id, step, event, verdict
on conflict (batch_id, step, event, verdict) do update set events = batch_verdicts.events + excluded.events

-- name: verdicts
select step, event, verdict, events from batch_verdicts where batch_id = %(batch)s order by step, event, verdict

-- name: forget_old
delete from hits where id in (select id from hits where at < %(before)s limit %(limit)s)

-- name: forget_batch
delete from hits where batch_id = %(batch)s

-- name: forget_customer
delete from hits where customer_id = %(customer)s

-- name: forget_verdicts
delete from batch_verdicts v using batches b where b.id = v.batch_id and b.customer_id = %(customer)s
