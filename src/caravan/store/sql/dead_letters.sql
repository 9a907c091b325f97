-- name: add
insert into dead_letters (batch_id, step, visit, file, size, reason, at)
values (%(batch)s, %(step)s, %(visit)s, %(file)s, %(size)s, %(reason)s, %(now)s)

-- name: of_batch
select id, step, visit, file, size, reason, at from dead_letters
where batch_id = %(batch)s and (%(step)s::text is null or step = %(step)s) order by id

-- name: delete
delete from dead_letters where id = any(%(ids)s)

-- name: delete_of_batch
delete from dead_letters where batch_id = %(batch)s

-- name: take_back
-- Contacts that had left a step as failed stand there again.
with standing as (
    update ledger_steps set standing = standing + %(contacts)s where batch_id = %(batch)s and step = %(step)s
), gone as (
    delete from ledger_outcomes
    where batch_id = %(batch)s and step = %(step)s and outcome = 'failed' and contacts = %(contacts)s
)
update ledger_outcomes set contacts = contacts - %(contacts)s
where batch_id = %(batch)s and step = %(step)s and outcome = 'failed' and contacts > %(contacts)s

-- name: mark_replay
update cohorts set replay = true where id = %(cohort)s

-- name: reopen
update batches set state = 'running', finished_at = null, swept_at = null where id = %(batch)s returning id
