-- name: add_entry
insert into audit (at, customer_id, actor_kind, actor_name, act, subject, detail)
values (coalesce(%(at)s, now()), %(customer)s, %(kind)s, %(name)s, %(act)s, %(subject)s, %(detail)s)

-- name: entries
-- The newest first, from before an entry on; those of a customer, or of all and the installation.
select id, at, customer_id as customer, actor_kind, actor_name, act, subject, detail from audit
where (%(customer)s::bigint is null or customer_id = %(customer)s) and (%(before)s::bigint is null or id < %(before)s)
order by id desc limit %(limit)s
