-- name: add_arrived
insert into ledger_steps (batch_id, step, arrived, standing)
values (%(batch)s, %(step)s, %(contacts)s, %(contacts)s)
on conflict (batch_id, step) do update
set arrived = ledger_steps.arrived + excluded.arrived, standing = ledger_steps.standing + excluded.standing

-- name: add_left
update ledger_steps set standing = standing - %(contacts)s where batch_id = %(batch)s and step = %(step)s

-- name: add_outcome
with counted as (
    insert into metric_changes (name, labels, value)
    values ('caravan_contacts_total', jsonb_build_object('outcome', %(outcome)s::text), %(contacts)s)
)
insert into ledger_outcomes (batch_id, step, outcome, contacts)
values (%(batch)s, %(step)s, %(outcome)s, %(contacts)s)
on conflict (batch_id, step, outcome) do update set contacts = ledger_outcomes.contacts + excluded.contacts

-- name: add_journal
insert into journal (batch_id, step, file, outcome, at, detail)
values (%(batch)s, %(step)s, %(file)s, %(outcome)s, %(at)s, %(detail)s)

-- name: journal
select id, step, file, outcome, at, detail from journal
where batch_id = %(batch)s and id > %(after)s
  and (%(step)s::text is null or step = %(step)s)
  and (%(outcome)s::text is null or outcome is null or outcome = %(outcome)s)
order by id limit %(limit)s

-- name: delete_journal
delete from journal where batch_id = %(batch)s

-- name: windows_of_batch
-- What the journal does not hold yet, because the cohort is still being sent.
select c.step, w.record from windows w join cohorts c on c.id = w.cohort_id
where c.batch_id = %(batch)s and w.record is not null and (%(step)s::text is null or c.step = %(step)s)
order by w.cohort_id, w.first
