-- name: parsed
-- Reads id and properties of each row and writes them again without white space. `json_valid` goes first because
-- one row that fails would fail the query, and `try` reads all its neighbours one by one. As contacts come back only rows
-- that the strict reading would give the same way: an id that is a plain integer, or a string without escapes and control
-- characters and not only white space, and properties that are an object; `names` are their members. Of JSON that is
-- refused beyond doubt `culprit` is the beginning of what is wrong, and `place_of_it` says what that is.
select
    place,
    case when culprit is null then id end as id,
    coalesce(properties, '{}') as properties,
    names,
    place_of_it,
    left(culprit, 201) as culprit
from (
    select
        *,
        case
            when not starts_with(text, '{') then 'row'
            when whole_id is null then 'missing'
            when id is null and (whole_id = '""' or (not starts_with(whole_id, '"') and length(whole_id) < 200)) then 'id'
            when id is not null and length(id) <= 256 and not starts_with(properties, '{') then 'properties'
        end as place_of_it,
        case place_of_it
            when 'row' then text when 'missing' then '' when 'id' then whole_id when 'properties' then properties
        end as culprit
    from (
        select
            place,
            ltrim(row, e' \t\r') as text,
            read.id::varchar as whole_id,
            case
                when regexp_matches(read.id, '^(?:0|-?[1-9][0-9]{0,254})$') then read.id::varchar
                when regexp_matches(read.id, '^"[^\pC\\]*[^\pC\pZ\\][^\pC\\]*"$') then read.id[2:-2]
            end as id,
            read.properties::varchar as properties,
            json_keys(read.properties) as names
        from (
            select
                place,
                row,
                json_transform(row, '{"id": "JSON", "properties": "JSON"}') as read
            from (select place, case when json_valid(row) then row end as row from rows)
            where row is not null
        )
    )
)
where culprit is not null or (id is not null and length(id) <= 256)

-- name: hashes
-- Equal ids have equal hashes, within one process; which ids are equal is decided by the ids (duplicates.sql).
select hash(id) as hash from accepted
