-- name: lock_users
-- One at a time makes a user, so that there is one first one.
lock table users in share row exclusive mode

-- name: has_users
select exists (select from users) as there

-- name: add_user
-- Nothing is returned where the e-mail address is taken.
insert into users (email, password, is_operator, created_at) values (%(email)s, %(password)s, %(operator)s, %(now)s)
on conflict (email) do nothing returning id

-- name: lock_user
-- Until the transaction ends; what roles the user has does not change meanwhile.
select id, is_operator from users where email = %(email)s for update

-- name: has_role
select exists (select from users u join user_roles r on r.user_id = u.id
    where u.email = %(email)s and r.customer_id = %(customer)s) as there

-- name: lock_owners
-- In one order, so that of two who take each other's role the second one waits, and then sees that it is the last.
select u.email from roles r join users u on u.id = r.user_id
where r.customer_id = %(customer)s and r.role = 'owner' order by r.user_id for update of r

-- name: credentials
select id, password, must_change_password from users where email = %(email)s

-- name: set_role
insert into roles (user_id, customer_id, role) values (%(user)s, %(customer)s, %(role)s)
on conflict (user_id, customer_id) do update set role = excluded.role

-- name: users
-- Those of a customer, or of all: one row for each user and customer, and one without a customer for an operator of none.
select u.id, u.email, r.customer_id as customer, coalesce(r.role, 'owner') as role, u.is_operator,
    u.must_change_password, u.created_at,
    (select max(s.used_at) from sessions s where s.user_id = u.id) as seen_at
from users u left join user_roles r on r.user_id = u.id
where %(customer)s::bigint is null or r.customer_id = %(customer)s
order by u.email, r.customer_id

-- name: delete_role
delete from roles where user_id = %(user)s and customer_id = %(customer)s returning role

-- name: delete_user_without_role
delete from users where id = %(user)s and not is_operator and not exists (select from roles where user_id = %(user)s)

-- name: lock_users_of
-- In one order, so that two customers can be removed at once.
select id from users where id in (select user_id from roles where customer_id = %(customer)s) order by id for update

-- name: delete_users_of_only
-- Those who have a role for this customer and for no other.
delete from users u where not u.is_operator
    and exists (select from roles r where r.user_id = u.id and r.customer_id = %(customer)s)
    and not exists (select from roles r where r.user_id = u.id and r.customer_id <> %(customer)s)

-- name: delete_roles_of
delete from roles where customer_id = %(customer)s

-- name: set_password
-- Nothing is returned where there is no such user, or where `known` is set and no longer the password's hash.
update users set password = %(password)s, must_change_password = %(must_change)s
where id = %(user)s and (%(known)s::text is null or password = %(known)s) returning id
