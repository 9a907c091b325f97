-- name: decide
-- The later contacts of those that have the same id, with the line of the first. The suspects are contacts whose hash
-- was on an earlier line; the parts hold all others. The ids themselves decide.
copy (
    with suspects as (
        select line, id from read_parquet($suspects)
    ),
    candidates as (
        select line, id from suspects
        union all
        select line, id from read_parquet($parts) where id in (select id from suspects)
    ),
    firsts as (
        select id, min(line) as first from candidates group by id having count(*) > 1
    )
    select line, id, first from suspects join firsts using (id) where line > first order by line
) to $target (format parquet)

-- name: find
-- The same among the contacts of several spans: only ids with a hash that occurs more than once are looked at.
copy (
    with suspects as (
        select line, id from read_parquet($ids)
        where case when $rehash then hash(id) else hash end in (select hash from read_parquet($repeated))
    ),
    firsts as (
        select id, min(line) as first from suspects group by id having count(*) > 1
    )
    select line, id, first from suspects join firsts using (id) where line > first order by line
) to $target (format parquet)

-- name: between_lines
copy (
    select line, id, first from read_parquet($losers) where line between $first and $last order by line
) to $target (format parquet)
