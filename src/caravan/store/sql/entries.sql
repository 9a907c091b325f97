-- name: create_candidates
-- Who wants to enter, for this transaction.
create temporary table candidates (contact uuid not null, line bigint not null) on commit drop

-- name: copy_candidates
copy candidates (contact, line) from stdin

-- name: create_outside
-- Of whom it is known that they have left the journey again, which they had entered by this batch.
create temporary table outside (contact uuid not null, batch_id text not null) on commit drop

-- name: copy_outside
copy outside (contact, batch_id) from stdin

-- name: analyze
analyze candidates, outside

-- name: judge
-- How each candidate had entered, and whether it may again: if that was by this batch, which began before; or by one that
-- ended before anyone entered; or long enough ago; or if it has left the journey since.
create temporary table judged on commit drop as
select c.contact, c.line, e.batch_id, e.entered_at,
    e.contact is null or e.batch_id = %(batch)s or %(force)s or e.entered_at <= %(before)s
    or coalesce(b.finished_at is not null and (b.started_at is null or %(outside)s), false)
    or %(outside)s and b.id is null or o.contact is not null as may
from candidates c
left join entries e on e.customer_id = %(customer)s and e.journey_id = %(journey)s and e.contact = c.contact
left join batches b on b.id = e.batch_id
left join outside o on o.contact = e.contact and o.batch_id = e.batch_id

-- name: drop_judged
drop table judged

-- name: enter_new
-- Enter those that never entered before. It fails if one of them enters by another batch in this very moment. In the order
-- of the keys, so that two that enter the same contacts at once wait for each other and never for themselves.
insert into entries (customer_id, journey_id, contact, batch_id, entered_at, holds_until)
select %(customer)s, %(journey)s, contact, %(batch)s, %(now)s, %(until)s
from judged where batch_id is null order by contact

-- name: enter_again
-- Enter those that may again, unless another batch has just entered them; in the same order.
with locked as materialized (
    select e.contact from judged j
    join entries e on e.customer_id = %(customer)s and e.journey_id = %(journey)s and e.contact = j.contact
    where j.may and j.batch_id <> %(batch)s and e.batch_id = j.batch_id and e.entered_at = j.entered_at
    order by e.contact for update of e
)
update entries e set batch_id = %(batch)s, entered_at = %(now)s, holds_until = %(until)s
from locked l where e.customer_id = %(customer)s and e.journey_id = %(journey)s and e.contact = l.contact

-- name: count_again
select count(*) as contacts from judged where may and batch_id <> %(batch)s

-- name: copy_refused
-- The candidates that did not enter, and by which batch they had.
copy (
    select line, batch_id, to_char(entered_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    from judged where not may order by line
) to stdout

-- name: of_others
-- The candidates that entered by other batches, which have not ended.
select c.contact::text as contact, e.batch_id from candidates c join entries e
  on e.customer_id = %(customer)s and e.journey_id = %(journey)s and e.contact = c.contact
join batches b on b.id = e.batch_id
where e.batch_id <> %(batch)s and b.finished_at is null

-- name: enter_singles
-- The same for singles, of which each is entered once; what comes back are those that did.
insert into entries (customer_id, journey_id, contact, batch_id, entered_at, holds_until)
select %(customer)s, %(journey)s, contact, %(batch)s, %(now)s, %(until)s
from unnest(%(contacts)s::uuid[]) as s (contact) order by contact
on conflict (customer_id, journey_id, contact) do update
set batch_id = excluded.batch_id, entered_at = excluded.entered_at, holds_until = excluded.holds_until
where entries.entered_at <= %(before)s
   or exists (
       select from batches b
       where b.id = entries.batch_id and b.finished_at is not null and (b.started_at is null or %(outside)s))
   or %(outside)s and not exists (select from batches b where b.id = entries.batch_id)
   or exists (
       select from unnest(%(left)s::uuid[], %(batches)s::text[]) as o (contact, batch_id)
       where o.contact = entries.contact and o.batch_id = entries.batch_id)
returning contact::text as contact

-- name: found
-- How contacts entered, as far as that is known.
select e.contact::text as contact, e.batch_id, e.entered_at, b.finished_at is null and b.id is not null as runs
from entries e left join batches b on b.id = e.batch_id
where e.customer_id = %(customer)s and e.journey_id = %(journey)s and e.contact = any(%(contacts)s::uuid[])

-- name: waits
-- The contacts that wait to be gathered into a batch.
select distinct contact from arrivals where batch_id = %(batch)s

-- name: forget
-- Rows that say nothing any more.
delete from entries e where e.holds_until <= %(now)s
   or e.holds_until is null and exists (select from batches b where b.id = e.batch_id and b.finished_at is not null)

-- name: forget_customer
delete from entries where customer_id = %(customer)s
