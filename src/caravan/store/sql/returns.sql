-- name: add
-- Many at once; only those that are new come back, by their place in what was given.
with given as (
    select g.*, row_number() over () as place
    from unnest(%(customers)s::bigint[], %(batches)s::text[], %(steps)s::text[], %(visits)s::int[], %(lines)s::bigint[],
        %(contacts)s::text[], %(addresses)s::text[], %(kinds)s::text[], %(hards)s::boolean[], %(codes)s::text[],
        %(reasons)s::text[], %(sources)s::text[], %(ats)s::timestamptz[], %(raws)s::bytea[])
        as g (customer_id, batch_id, step, visit, line, contact, address, kind, hard, code, reason, source, at, raw)
), added as (
    insert into returns (customer_id, batch_id, step, visit, line, contact, address, kind, hard, code, reason, source, at,
        taken_at, raw)
    select customer_id, batch_id, step, visit, line, contact, address, kind, hard, code, reason, source, at, %(now)s, raw
    from given order by batch_id, step, visit, line, kind, hard, place
    on conflict (batch_id, step, visit, line, kind, hard) do nothing
    returning batch_id, step, visit, line, kind, hard
)
select min(g.place) as place from added a join given g using (batch_id, step, visit, line, kind, hard)
group by batch_id, step, visit, line, kind, hard

-- name: of_batch
-- Some of what came back to a batch, the oldest first, from after one of them on.
select id, step, visit, line, contact, address, kind, hard, code, reason, source, at, raw is not null as kept
from returns
where batch_id = %(batch)s and id > %(after)s and (%(step)s::text is null or step = %(step)s)
  and (%(kind)s::text is null or kind = %(kind)s)
order by id limit %(limit)s

-- name: newest
-- The same, the newest first, from before one of them on.
select id, step, visit, line, contact, address, kind, hard, code, reason, source, at, raw is not null as kept
from returns
where batch_id = %(batch)s and (%(before)s::bigint is null or id < %(before)s)
  and (%(step)s::text is null or step = %(step)s) and (%(kind)s::text is null or kind = %(kind)s)
order by id desc limit %(limit)s

-- name: raw
select raw from returns where batch_id = %(batch)s and id = %(id)s

-- name: bounces
-- How many hard and soft bounces each step of a batch has.
select step, hard, count(*) as bounces from returns where batch_id = %(batch)s and kind = 'bounced' group by step, hard
order by step, hard desc

-- name: by_minute
select date_trunc('minute', taken_at, 'UTC') as minute, kind, count(*) as found from returns
where batch_id = %(batch)s group by 1, 2

-- name: trim
-- Forgets some of the messages that were kept for long enough; what they said stays.
with old as (select id from returns where raw is not null and taken_at < %(before)s order by taken_at limit %(limit)s)
update returns r set raw = null from old where r.id = old.id

-- name: forget
delete from returns where batch_id = %(batch)s

-- name: count_soft
-- Counts soft bounces of addresses, and tells how many they have in a row now; after a long silence it begins anew.
insert into soft_bounces as s (customer_id, channel, address, bounces, first_at, last_at)
select %(customer)s, 'email', address, count(*), %(now)s, %(now)s from unnest(%(addresses)s::text[]) as g (address)
group by address order by address
on conflict (customer_id, channel, address) do update set
    bounces = case when s.last_at < %(stale)s then 0 else s.bounces end + excluded.bounces,
    first_at = case when s.last_at < %(stale)s then excluded.first_at else s.first_at end,
    last_at = excluded.last_at
returning address, bounces, first_at

-- name: forget_soft
-- These addresses took a mail.
delete from soft_bounces where customer_id = %(customer)s and channel = 'email' and address = any(%(addresses)s::text[])

-- name: trim_soft
delete from soft_bounces where last_at < %(stale)s

-- name: take_token
-- Remembers a token; nothing comes back if it was there.
insert into webhook_tokens (source, token, taken_at) values (%(source)s, %(token)s, %(now)s)
on conflict do nothing returning token

-- name: forget_tokens
delete from webhook_tokens where taken_at < %(before)s
