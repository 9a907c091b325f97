-- name: parsed
-- Reads id and properties of each row and writes them again without white space. `json_valid` goes first because
-- one row that fails would fail the query, and `try` reads all its neighbours one by one. Only what the strict reading would give the same way comes back: an id that is a plain
-- integer, or a string without escapes and control characters and not only white space, and properties that are
-- an object. `names` are the members of the properties.
select
    place,
    id,
    coalesce(properties, '{}') as properties,
    names
from (
    select
        place,
        case
            when regexp_matches(read.id, '^(?:0|-?[1-9][0-9]{0,254})$') then read.id::varchar
            when regexp_matches(read.id, '^"[^\pC\\]*[^\pC\pZ\\][^\pC\\]*"$') then read.id[2:-2]
        end as id,
        read.properties as properties,
        json_keys(read.properties) as names
    from (
        select
            place,
            case when json_valid(row) then json_transform(row, '{"id": "JSON", "properties": "JSON"}') end as read
        from rows
    )
)
where id is not null and length(id) <= 256 and (properties is null or starts_with(properties, '{'))

-- name: hashes
-- Equal ids have equal hashes, within one process; which ids are equal is decided by the ids (duplicates.sql).
select hash(id) as hash from accepted
