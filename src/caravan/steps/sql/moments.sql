-- name: property
-- A property of each contact as a text, by a JSON pointer (RFC 6901 §3); null where there is none.
select json_extract_string(properties, $pointer::varchar) as text from contacts

-- name: moments
-- Dates and times by ISO 8601, as segments read them (journeys/segment_sql.py), in microseconds since 1970; null for any
-- other text. `zoned`: with an offset, so it is a moment; else it is what a clock on the wall shows.
select
    epoch_us(case
        when starts_with(text, '0000') then null
        when regexp_full_match(text, $local) then try_cast(text as timestamp)
        when zoned then make_timestamp(epoch_us(try_cast(text as timestamptz)))
    end) as micros,
    zoned
from (select text, regexp_full_match(text, $moment) as zoned from (select trim(text) as text from texts))
