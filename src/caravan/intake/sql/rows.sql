-- name: parsed
-- Reads id and properties of each row and writes them again without white space. `json_valid` goes first because
-- one row that fails would fail the query, and `try` reads all its neighbours one by one. As contacts come back only rows
-- that the strict reading would give the same way: an id that is a plain integer, or a string without escapes and control
-- characters and not only white space, and properties that are an object; `names` are their members. Of JSON that is
-- refused beyond doubt `culprit` is the beginning of what is wrong, and `fault` says what that is. Without `materialized`
-- each mention of a value reads the row's JSON anew.
with
parsed as materialized (
    select place, row, json_transform(row, '{"id": "JSON", "properties": "JSON"}') as read
    from (select place, case when json_valid(row) then row end as row from rows)
    where row is not null
),
named as materialized (
    select
        place,
        case when read.id is null then ltrim(row, e' \t\r') end as text,
        read.id::varchar as whole_id,
        read.properties::varchar as properties,
        case
            when regexp_matches(read.id, '^(?:0|-?[1-9][0-9]{0,254})$') then read.id::varchar
            when regexp_matches(read.id, '^"[^\pC\\]*[^\pC\pZ\\][^\pC\\]*"$') then read.id[2:-2]
        end as id
    from parsed
),
judged as (
    select
        *,
        case
            when not starts_with(text, '{') then 'row'
            when text is not null then 'missing'
            when id is null and (whole_id = '""' or (not starts_with(whole_id, '"') and length(whole_id) < 200)) then 'id'
            when id is not null and length(id) <= 256 and not starts_with(properties, '{') then 'properties'
        end as fault
    from named
)
select
    place,
    id,
    coalesce(properties, '{}') as properties,
    case when fault is null then json_keys(properties) end as names,
    fault,
    left(case fault when 'row' then text when 'missing' then '' when 'id' then whole_id else properties end, 201) as culprit
from judged
where fault is not null or (id is not null and length(id) <= 256)

-- name: hashes
-- Equal ids have equal hashes, within one process; which ids are equal is decided by the ids (duplicates.sql).
select hash(id) as hash from accepted
