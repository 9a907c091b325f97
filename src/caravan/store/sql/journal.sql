-- name: add_journal
insert into journal (batch_id, step, file, outcome, at, detail)
values (%(batch)s, %(step)s, %(file)s, %(outcome)s, %(at)s, %(detail)s)

-- name: journal
select id, step, file, outcome, at, detail from journal
where batch_id = %(batch)s
  and (%(step)s::text is null or step = %(step)s)
  and (%(outcomes)s::text[] is null or outcome is null or outcome = any(%(outcomes)s))
order by id

-- name: last
select max(id) as id from journal where batch_id = %(batch)s

-- name: journal_after
select id, step, file, outcome, at, detail from journal
where batch_id = %(batch)s and id > %(last)s order by id limit %(limit)s

-- name: delete_journal
delete from journal where batch_id = %(batch)s

-- name: windows_of_batch
-- What the journal does not hold yet, because the cohort is still being sent.
select c.step, w.record from windows w join cohorts c on c.id = w.cohort_id
where c.batch_id = %(batch)s and w.record is not null and (%(step)s::text is null or c.step = %(step)s)
order by w.cohort_id, w.first
