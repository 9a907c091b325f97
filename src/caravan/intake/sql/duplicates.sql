-- name: create
create table losers (line bigint, first bigint)

-- name: find
-- The later contacts of those that have the same id, with the line of the first. Only ids with a hash that occurs
-- more than once are looked at, and of these only the ids themselves decide.
insert into losers
with suspects as (
    select line, id from read_parquet($parts) where hash(id) in (select hash from repeated)
),
firsts as (
    select id, min(line) as first from suspects group by id having count(*) > 1
)
select line, first from suspects join firsts using (id) where line > first

-- name: arrange
-- In the order of the lines, so that the losers of one part lie together.
create table ordered as select line, first from losers order by line

-- name: count
select count(*) as count from losers

-- name: between_lines
select line, first from ordered where line between $first and $last order by line
