-- name: add_session
-- Nothing is returned where the user was removed or got another password since that was checked.
insert into sessions (digest, user_id, created_at, used_at)
select %(digest)s, id, %(now)s, %(now)s from users where id = %(user)s and password = %(password)s
for share returning user_id

-- name: session
select u.id, u.email, u.is_operator, u.must_change_password, s.used_at
from sessions s join users u on u.id = s.user_id
where s.digest = %(digest)s and s.used_at > %(idle_since)s and s.created_at > %(made_since)s

-- name: roles_of
select r.customer_id as customer, r.role, c.name from user_roles r join customers c on c.id = r.customer_id
where r.user_id = %(user)s order by c.id

-- name: use_session
update sessions set used_at = %(now)s where digest = %(digest)s and used_at < %(now)s

-- name: still_open
-- Those of many sessions, each with the customer whose page it looks at, that may go on.
select a.digest, a.customer
from unnest(%(digests)s::bytea[], %(customers)s::bigint[]) a (digest, customer)
join sessions s on s.digest = a.digest and s.used_at > %(idle_since)s and s.created_at > %(made_since)s
where a.customer is null
    or exists (select from user_roles r where r.user_id = s.user_id and r.customer_id = a.customer)

-- name: delete_session
delete from sessions where digest = %(digest)s

-- name: delete_sessions_of
delete from sessions where user_id = %(user)s

-- name: delete_ended
delete from sessions where used_at <= %(idle_since)s or created_at <= %(made_since)s

-- name: add_failures
-- Those that are not counted yet, so that each can be locked.
insert into sign_in_failures (digest, failures, last_at) select unnest(%(digests)s::bytea[]), 0, %(now)s
order by 1 on conflict (digest) do nothing

-- name: lock_failures
-- In one order, so that two attempts wait for each other and not both.
select digest, failures, last_at from sign_in_failures where digest = any(%(digests)s) order by digest for update

-- name: count_failure
update sign_in_failures set failures = failures + 1, last_at = %(now)s where digest = any(%(digests)s)

-- name: forget_failures
delete from sign_in_failures where digest = %(digest)s

-- name: uncount_failure
update sign_in_failures set failures = greatest(failures - 1, 0) where digest = %(digest)s

-- name: forget_old_failures
-- Not those that another attempt has locked: it counts them anew.
delete from sign_in_failures where digest in (
    select digest from sign_in_failures where last_at < %(before)s order by digest for update skip locked)
