-- name: lock
select pg_advisory_lock(%(key)s)

-- name: unlock
select pg_advisory_unlock(%(key)s)

-- name: wait_for_locks
select set_config('lock_timeout', %(time)s, true)

-- name: create_history
create table if not exists migrations (
    number integer primary key,
    name text not null,
    digest text not null,
    applied_at timestamptz not null default now()
)

-- name: history
select number, digest from migrations

-- name: remember
insert into migrations (number, name, digest) values (%(number)s, %(name)s, %(digest)s)

-- name: has_history
select to_regclass('migrations') is not null as there
