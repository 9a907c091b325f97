-- People who sign in to the console, what they may do, and what was done.
create table users (
    id bigint generated always as identity primary key,
    -- In lower case, as access/users.py: email_of writes it.
    email text not null unique,
    -- Argon2id, in the form of its reference implementation ($argon2id$v=19$m=…).
    password text not null,
    must_change_password boolean not null default true,
    -- The installation's operator: owner of every customer. The first user is it.
    is_operator boolean not null default false,
    created_at timestamptz not null
);

create table roles (
    user_id bigint not null references users on delete cascade,
    customer_id bigint not null references customers on delete cascade,
    role text not null check (role in ('viewer', 'editor', 'owner')),
    primary key (user_id, customer_id)
);
create index roles_of_customer on roles (customer_id);

-- What each user is to each customer.
create view user_roles as
select r.user_id, r.customer_id, r.role from roles r join users u on u.id = r.user_id where not u.is_operator
union all
select u.id, c.id, 'owner' from users u cross join customers c where u.is_operator;

create table sessions (
    -- SHA-256 of the token, which is only in the browser's cookie.
    digest bytea primary key,
    user_id bigint not null references users on delete cascade,
    created_at timestamptz not null,
    -- Written once a minute at most.
    used_at timestamptz not null
);
create index sessions_of_user on sessions (user_id);

-- Attempts to sign in that did not succeed, by user and by address.
create table sign_in_failures (
    -- SHA-256 of what is counted: users that do not exist are counted too, and their names are not to be kept.
    digest bytea primary key,
    failures integer not null,
    last_at timestamptz not null
);

-- Who did what to what, and when. No foreign key: it outlives what it tells of.
create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    -- Null: it concerns the installation.
    customer_id bigint,
    actor_kind text not null check (actor_kind in ('user', 'token', 'command')),
    actor_name text not null,
    act text not null,
    subject text not null,
    detail jsonb
);
create index audit_of_customer on audit (customer_id, id);

create function refuse_change_of_audit() returns trigger language plpgsql as $$
begin
    raise exception 'The audit log is only added to.';
end $$;
create trigger audit_is_only_added_to before update or delete or truncate on audit
for each statement execute function refuse_change_of_audit();
