-- name: claim
-- Nothing comes back when the key is known already. An unanswered claim holds back its twin until it ends.
insert into idempotency (customer_id, key, fingerprint, created_at)
values (%(customer)s, %(key)s, %(fingerprint)s, %(now)s)
on conflict (customer_id, key) do nothing returning key

-- name: known
select fingerprint, status, answer from idempotency where customer_id = %(customer)s and key = %(key)s

-- name: answer
update idempotency set status = %(status)s, answer = %(answer)s where customer_id = %(customer)s and key = %(key)s

-- name: forget_old
delete from idempotency where created_at < %(before)s

-- name: forget_one
delete from idempotency where customer_id = %(customer)s and key = %(key)s and created_at < %(before)s

-- name: forget_some
delete from idempotency where (customer_id, key) in (select * from unnest(%(customers)s::bigint[], %(keys)s::text[]))
  and created_at < %(before)s

-- name: claim_all
-- The keys that were new come back. In their order, so that two groups with the same keys can't deadlock.
insert into idempotency (customer_id, key, fingerprint, created_at)
select customer, key, fingerprint, %(now)s
from unnest(%(customers)s::bigint[], %(keys)s::text[], %(fingerprints)s::text[]) as k (customer, key, fingerprint)
order by customer, key
on conflict (customer_id, key) do nothing returning customer_id, key

-- name: known_all
select customer_id, key, fingerprint, status, answer from idempotency
where (customer_id, key) in (select * from unnest(%(customers)s::bigint[], %(keys)s::text[]))

-- name: answer_all
update idempotency i set status = k.status, answer = k.answer::json
from unnest(%(customers)s::bigint[], %(keys)s::text[], %(statuses)s::integer[], %(answers)s::text[])
    as k (customer, key, status, answer)
where i.customer_id = k.customer and i.key = k.key

-- name: free_all
delete from idempotency where (customer_id, key) in (select * from unnest(%(customers)s::bigint[], %(keys)s::text[]))
