-- name: add_entry
insert into audit (at, customer_id, actor_kind, actor_name, actor_label, address, act, subject, detail)
values (coalesce(%(at)s, now()), %(customer)s, %(kind)s, %(name)s, %(label)s, %(address)s, %(act)s, %(subject)s,
    %(detail)s)

-- name: entries
-- The newest first, from before an entry on; those of a customer, or of all and the installation, that fit the filter.
select id, at, customer_id as customer, actor_kind, actor_name, actor_label, address, act, subject, detail from audit
where (%(customer)s::bigint is null or customer_id = %(customer)s) and (%(before)s::bigint is null or id < %(before)s)
    and (%(who)s::text is null or actor_name = %(who)s) and (%(what)s::text is null or act = %(what)s)
    and (%(since)s::timestamptz is null or at >= %(since)s) and (%(until)s::timestamptz is null or at < %(until)s)
order by id desc limit %(limit)s

-- name: first_of_subject
-- Who acted on a subject first.
select actor_kind, actor_name, actor_label from audit
where customer_id = %(customer)s and subject = %(subject)s order by id limit 1

-- name: openers
-- Who opened these subjects, by what each is called.
select distinct on (subject) subject, coalesce('token ' || actor_label, actor_name) as name from audit
where customer_id = %(customer)s and subject = any(%(subjects)s) and act = 'open' order by subject, id

-- name: actors
-- Each actor once, by one step through the index for each (a loose index scan), however many entries there are.
with recursive found (name) as (
    (select actor_name from audit where customer_id = %(customer)s order by actor_name limit 1)
    union all
    select (select a.actor_name from audit a where a.customer_id = %(customer)s and a.actor_name > f.name
        order by a.actor_name limit 1)
    from found f where f.name is not null)
select f.name, (select a.actor_label from audit a where a.customer_id = %(customer)s and a.actor_name = f.name
    order by a.id desc limit 1) as label
from found f where f.name is not null limit %(limit)s

-- name: acts
-- Each act once, in the same way.
with recursive found (name) as (
    (select act from audit where customer_id = %(customer)s order by act limit 1)
    union all
    select (select a.act from audit a where a.customer_id = %(customer)s and a.act > f.name order by a.act limit 1)
    from found f where f.name is not null)
select f.name from found f where f.name is not null limit %(limit)s

-- name: lock_actor
-- One at a time of these acts of an actor, until the end of the transaction.
select pg_advisory_xact_lock(hashtextextended('audit:' || %(kind)s || ':' || %(name)s || ':' || %(act)s, 0))

-- name: count_recent
-- How often an actor did an act on a customer since a moment, as far as the newest thousand acts tell: not all are read.
select count(*) as acts
from (select at, actor_kind, actor_name, act from audit where customer_id = %(customer)s order by id desc limit 1000) a
where at > %(since)s and actor_kind = %(kind)s and actor_name = %(name)s and act = %(act)s
