-- name: add_customer
insert into customers (name, created_at) values (%(name)s, %(now)s) returning id

-- name: first_customer
select id, name from customers order by id limit 1

-- name: has_customer
select exists (select from customers where id = %(customer)s) as there

-- name: set_retention
-- Null: as long as the installation's setting says.
update customers set retention_days = %(days)s where id = %(customer)s

-- name: add_token
insert into tokens (id, customer_id, name, digest, created_at)
values (%(id)s, %(customer)s, %(name)s, %(digest)s, %(now)s)

-- name: token
select digest from tokens where id = %(id)s and customer_id = %(customer)s

-- name: keep_secret
-- The first one to come sets it; everyone reads what is set.
insert into secrets (name, value) values (%(name)s, %(value)s) on conflict (name) do nothing

-- name: secret
select value from secrets where name = %(name)s

-- name: rotate_secret
-- The first one bears the name alone, later ones a number as well.
insert into secrets (name, value, since)
select %(name)s || '.' || count(*) + 1, %(value)s, %(since)s from secrets
where name = %(name)s or name like %(name)s || '.%%'

-- name: signing_secrets
-- All that ever were in force, the newest first.
select value, since from secrets where name = %(name)s or name like %(name)s || '.%%' order by since desc nulls last
