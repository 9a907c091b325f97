-- name: add_arrived
insert into ledger_steps (batch_id, step, arrived, standing)
values (%(batch)s, %(step)s, %(contacts)s, %(contacts)s)
on conflict (batch_id, step) do update
set arrived = ledger_steps.arrived + excluded.arrived, standing = ledger_steps.standing + excluded.standing

-- name: outcomes
-- How many times contacts of a batch left a step, or any step, with each outcome.
select outcome, sum(contacts)::bigint as contacts from ledger_outcomes
where batch_id = %(batch)s and (%(step)s::text is null or step = %(step)s)
group by outcome order by outcome

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
