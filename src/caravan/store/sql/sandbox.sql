-- name: add
-- Messages that arrived together, in their order.
insert into sandbox (channel, sender, recipient, content)
select %(channel)s, m.sender, m.recipient, m.content
from unnest(%(senders)s::text[], %(recipients)s::text[], %(contents)b::bytea[])
    with ordinality as m (sender, recipient, content, place)
order by m.place
returning id

-- name: trim
-- All but the newest `most`. By their numbers, of which there may be gaps: then a few less are kept.
delete from sandbox where id <= (select max(id) from sandbox) - %(most)s

-- name: trim_old
delete from sandbox where at < now() - make_interval(days => %(days)s)

-- name: page
-- The newest first; the beginning of each is enough for its subject.
select id, channel, sender, recipient, substring(content from 1 for 16384) as head, length(content) as bytes, at
from sandbox
where (%(before)s::bigint is null or id < %(before)s)
  and (%(recipient)s::text is null or lower(recipient) = lower(%(recipient)s))
order by id desc limit %(limit)s

-- name: get
select id, channel, sender, recipient, content, at from sandbox where id = %(id)s

-- name: clear
with gone as (delete from sandbox returning 1) select count(*) as messages from gone
