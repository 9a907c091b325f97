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
