-- name: add
insert into spans (batch_id, number, start_at, stop_at, first_line)
values (%(batch)s, %(number)s, %(start)s, %(stop)s, %(first_line)s)

-- name: of_batch
-- In the order of the file.
select * from spans where batch_id = %(batch)s order by number

-- name: one
select * from spans where batch_id = %(batch)s and number = %(number)s

-- name: set_read
update spans set state = %(state)s, receipt = %(receipt)s, deaths = 0
where batch_id = %(batch)s and number = %(number)s and state = %(before)s returning number

-- name: note_death
-- A worker that worked on it died: how often so far.
update spans set deaths = deaths + 1 where batch_id = %(batch)s and number = %(number)s
returning deaths

-- name: set_compared
update spans set state = case when %(losers)s::text is null then 'done' else 'doubled' end, losers = %(losers)s
where batch_id = %(batch)s and number = %(number)s and state = 'read'

-- name: any_under_way
select exists (select from spans where batch_id = %(batch)s and state in ('unread', 'doubled')) as there

-- name: delete_of_batch
delete from spans where batch_id = %(batch)s
