-- name: moves
-- When each cohort of a step moved on, and how many contacts that were.
select j.at, c.size from journal j join cohorts c on c.batch_id = j.batch_id and c.step = j.step and c.file = j.file
where j.batch_id = %(batch)s and j.step = %(step)s

-- name: create_people
create table people (id text primary key, properties text not null)

-- name: copy_people
copy people (id, properties) from stdin

-- name: drop_people
drop table if exists people

-- name: create_waiting
-- What a system that schedules each contact by itself needs at the least: a row each, and an index to find who is due.
create table waiting (id text primary key, step text not null, due_at timestamptz not null)

-- name: fill_waiting
insert into waiting select 'c-' || number, 'hold', now() from generate_series(1, %(rows)s) number

-- name: index_waiting
create index on waiting (due_at)

-- name: move_waiting
update waiting set step = 'rest', due_at = now() + interval '1 day' where step = 'hold' and due_at <= now()

-- name: drop_waiting
drop table if exists waiting

-- name: queues
-- Each worker has a row for each of its queues.
select count(*) from procrastinate_workers

-- name: create_singles
create table if not exists singles (number bigint generated always as identity primary key, id text, properties text)

-- name: add_single
insert into singles (id, properties) values (%(id)s, %(properties)s)

-- name: transactions
-- How many transactions this database has ended.
select xact_commit + xact_rollback from pg_stat_database where datname = current_database()

-- name: moments
-- Cohorts at the wait of a batch: those whose moments are not found yet, and all.
select count(*) filter (where not stands), count(*) from cohorts
where batch_id = %(batch)s and step = 'hold' and closed_at is null

-- name: looking
-- How many cohorts that listen for events have no copy yet in which contacts are found.
select count(*) from listening where look

-- name: create_listening
-- What a system that finds each contact by a row of its own needs at the least.
create table standing (id text primary key, step text not null, properties text not null, moved_at timestamptz)

-- name: fill_listening
insert into standing select 'c-' || lpad(number::text, 8, '0'), 'hold', '{"ltv": 17}' from generate_series(1, %(rows)s) number

-- name: move_listening
update standing s set step = 'rest', moved_at = %(now)s
from jsonb_to_recordset(%(events)s::jsonb) as e (id text, total numeric)
where s.id = e.id and s.step = 'hold' and e.total > (s.properties::jsonb->>'ltv')::numeric
