-- name: request
-- The erasure of a contact that is pending already, or a new one.
with made as (
    insert into erasures (customer_id, contact, requested_at) values (%(customer)s, %(contact)s, %(now)s)
    on conflict (customer_id, contact) where finished_at is null do nothing
    returning id
)
select id from made
union all
select id from erasures where customer_id = %(customer)s and contact = %(contact)s and finished_at is null
limit 1

-- name: of_customer
select * from erasures where id = %(id)s and customer_id = %(customer)s

-- name: get
select * from erasures where id = %(id)s

-- name: pending
select id from erasures where finished_at is null order by id

-- name: hold
-- For whoever works on it, unless another does.
update erasures set held_until = now() + make_interval(secs => %(seconds)s)
where id = %(id)s and finished_at is null and (held_until is null or held_until < now() or %(again)s) returning *

-- name: note
update erasures set held_until = null, waiting_for = %(waiting)s, erased = %(erased)s where id = %(id)s

-- name: note_replaced
update erasures set lines = lines || jsonb_build_object(%(batch)s::text, %(lines)s::bigint[]),
    replaced = replaced || to_jsonb(%(files)s::text[])
where id = %(id)s

-- name: note_deleted
update erasures set replaced = (
    select coalesce(jsonb_agg(f), '[]') from jsonb_array_elements_text(replaced) f where f <> all(%(files)s::text[])
) where id = %(id)s

-- name: finish
update erasures set held_until = null, contact = null, lines = '{}', replaced = '[]', waiting_for = null, erased = %(erased)s, finished_at = %(now)s
where id = %(id)s

-- name: batches
-- Where the contact may be: the customer's batches whose contacts are kept or are being read.
select b.id, b.state,
    exists (select from batches r where r.restart_of = b.id and r.state = 'reading') as restarted
from batches b
where b.customer_id = %(customer)s and b.forgotten_at is null and b.created_at <= %(before)s
  and (b.version is not null or b.rejects is not null or b.state = 'receiving')
order by b.created_at, b.id

-- name: arrives
-- Whether the contact is just entering by single start.
select exists (
    select from arrivals a join batches b on b.id = a.batch_id
    where b.customer_id = %(customer)s and a.contact = %(contact)s
) as there

-- name: first_cohort
select id from cohorts where batch_id = %(batch)s order by id limit 1

-- name: named_files
-- Every file that a row of the batch names.
select file from cohorts where batch_id = %(batch)s
union select file from journal where batch_id = %(batch)s
union select file from dead_letters where batch_id = %(batch)s
union select rejects from batches where id = %(batch)s and rejects is not null

-- name: open_cohorts
-- The cohorts that stand with these files, locked in one order, and whether a sender has begun with them.
select id, step, due_at, turn, provider, holder is not null as claimed,
    exists (select from windows w where w.cohort_id = c.id) as being_sent
from cohorts c
where batch_id = %(batch)s and closed_at is null and file = any(%(files)s)
order by id for no key update

-- name: replace_files
-- A worker that has claimed such a cohort has the old file: its claim is void.
with given as (select * from unnest(%(old)s::text[], %(new)s::text[]) as g (old, new)),
    stood as (
        update cohorts c set file = g.new, holder = case when c.closed_at is null then null else c.holder end
        from given g where c.batch_id = %(batch)s and c.file = g.old
    ),
    told as (update journal j set file = g.new from given g where j.batch_id = %(batch)s and j.file = g.old),
    dead as (update dead_letters d set file = g.new from given g where d.batch_id = %(batch)s and d.file = g.old)
update batches b set rejects = g.new from given g where b.id = %(batch)s and b.rejects = g.old

-- name: forget_events
with gone as (delete from events where customer_id = %(customer)s and contact = %(contact)s returning 1)
select count(*) as found from gone

-- name: forget_returns
-- That something came back to its deliveries stays, and nothing of whom.
with gone as (
    update returns r set contact = '', address = null, reason = '', raw = null
    from unnest(%(lines)s::bigint[]) as g (line)
    where r.batch_id = %(batch)s and r.line = g.line and r.contact <> '' returning 1
)
select count(*) as found from gone

-- name: forget_hits
with gone as (
    delete from hits h using unnest(%(lines)s::bigint[]) as g (line)
    where h.batch_id = %(batch)s and h.line = g.line returning 1
)
select count(*) as found from gone

-- name: forget_threads
delete from sms_threads where customer_id = %(customer)s and contact = %(contact)s

-- name: forget_entries
delete from entries where customer_id = %(customer)s and contact = %(digest)s

-- name: forget_soft_bounces
delete from soft_bounces where customer_id = %(customer)s and channel = %(channel)s and address = any(%(addresses)s::text[])

-- name: forget_messages
-- Messages that the sandbox keeps.
with gone as (
    delete from sandbox s using batches b
    where b.id = s.batch_id and b.customer_id = %(customer)s and s.channel = %(channel)s
      and s.recipient = any(%(recipients)s::text[])
    returning 1
)
select count(*) as found from gone
