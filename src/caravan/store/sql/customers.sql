-- name: lock_customers
-- One at a time makes a customer, so that no two get the same name.
lock table customers in share row exclusive mode

-- name: customer_of_name
select id, name from customers where lower(name) = lower(%(name)s) order by id limit 1

-- name: customers
select c.id, c.name, c.created_at, c.retention_days, (select count(*) from tokens t where t.customer_id = c.id) as tokens
from customers c order by c.id

-- name: lock_customer
select id from customers where id = %(customer)s for update

-- name: delete_jobs
-- What waits in the queue for the customer's batches.
delete from procrastinate_jobs where status = 'todo' and (
    args->>'batch' in (select id from batches where customer_id = %(customer)s)
    or (args->>'cohort')::bigint in (
        select c.id from cohorts c join batches b on b.id = c.batch_id
        where b.customer_id = %(customer)s))

-- name: delete_batches
-- Before the journeys that they name; what belongs to a batch goes with it.
delete from batches where customer_id = %(customer)s returning id

-- name: delete_customer
delete from customers where id = %(customer)s

-- name: add_customer
insert into customers (name, created_at) values (%(name)s, %(now)s) returning id

-- name: first_customer
select id, name from customers order by id limit 1

-- name: customer_name
select name from customers where id = %(customer)s

-- name: has_customer
select exists (select from customers where id = %(customer)s) as there

-- name: retention_of
select retention_days from customers where id = %(customer)s

-- name: set_retention
-- Null: as long as the installation's setting says.
update customers set retention_days = %(days)s where id = %(customer)s

-- name: add_token
insert into tokens (id, customer_id, name, digest, created_at, created_by)
values (%(id)s, %(customer)s, %(name)s, %(digest)s, %(now)s, %(by)s)

-- name: tokens
select id, customer_id as customer, name, created_at, created_by, used_at from tokens
where %(customer)s::bigint is null or customer_id = %(customer)s order by customer_id, created_at, id

-- name: delete_token
delete from tokens where id = %(id)s and (%(customer)s::bigint is null or customer_id = %(customer)s)
returning id, customer_id as customer, name, created_at, created_by, used_at

-- name: token
select id, customer_id as customer, name, digest, created_at, created_by, used_at from tokens
where id = %(id)s and customer_id = %(customer)s

-- name: use_token
update tokens set used_at = %(now)s where id = %(id)s and (used_at is null or used_at < %(since)s)

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
