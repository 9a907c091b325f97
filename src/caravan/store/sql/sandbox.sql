-- name: add
-- Messages that arrived together, in their order.
insert into sandbox (channel, sender, recipient, content, batch_id)
select %(channel)s, m.sender, m.recipient, m.content, m.batch
from unnest(%(senders)s::text[], %(recipients)s::text[], %(contents)b::bytea[], %(batches)s::text[])
    with ordinality as m (sender, recipient, content, batch, place)
order by m.place
returning id

-- name: trim
-- All but the newest `most`. By their numbers, of which there may be gaps: then a few less are kept.
delete from sandbox where id <= (select max(id) from sandbox) - %(most)s

-- name: trim_old
delete from sandbox where at < now() - make_interval(days => %(days)s)

-- name: page
-- The newest first; the beginning of each is enough for its subject. Of some customers, or of all and of none.
select s.id, s.channel, s.sender, s.recipient, substring(s.content from 1 for 16384) as head,
    length(s.content) as bytes, s.at, s.batch_id as batch, b.customer_id as customer
from sandbox s left join batches b on b.id = s.batch_id
where (%(before)s::bigint is null or s.id < %(before)s)
  and (%(recipient)s::text is null or lower(s.recipient) = lower(%(recipient)s))
  and (%(containing)s::text is null or position(lower(%(containing)s) in lower(s.recipient)) > 0)
  and (%(batch)s::text is null or s.batch_id = %(batch)s)
  and (%(customers)s::bigint[] is null or b.customer_id = any(%(customers)s))
order by s.id desc limit %(limit)s

-- name: get
select s.id, s.channel, s.sender, s.recipient, s.content, s.at, s.batch_id as batch, b.customer_id as customer
from sandbox s left join batches b on b.id = s.batch_id
where s.id = %(id)s and (%(customers)s::bigint[] is null or b.customer_id = any(%(customers)s))

-- name: forget
delete from sandbox where batch_id = any(%(batches)s)

-- name: count
select count(*) as messages from sandbox

-- name: clear
with gone as (delete from sandbox returning 1) select count(*) as messages from gone
