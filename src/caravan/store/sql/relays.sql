-- name: of_customer
-- The relays that a customer may send by: its own, and those of all.
select * from relays where customer_id = %(customer)s or customer_id is null order by customer_id nulls last, name

-- name: list
select * from relays where %(customer)s::bigint is null or customer_id = %(customer)s or customer_id is null
order by customer_id nulls first, name

-- name: add
insert into relays (customer_id, name, url_from, weight, fallback, added_at)
values (%(customer)s, %(name)s, %(url_from)s, %(weight)s, %(fallback)s, %(now)s)
on conflict (coalesce(customer_id, 0), name) do update
set url_from = excluded.url_from, weight = excluded.weight, fallback = excluded.fallback

-- name: remove
delete from relays where customer_id is not distinct from %(customer)s::bigint and name = %(name)s returning id
