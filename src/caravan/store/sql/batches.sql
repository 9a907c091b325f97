-- name: add
-- Nothing comes back if the journey is not published. Its row is shared, so that a pause of it finds this batch.
insert into batches (id, customer_id, journey_id, starter, state, created_at, expires_at, source, download_url, freeze_waits, hold,
    sends_until)
select %(id)s, j.customer_id, j.id, 'batch', %(state)s, %(now)s, %(expires)s, %(source)s, %(url)s, %(freeze_waits)s, %(hold)s,
    %(sends_until)s
from journeys j where j.customer_id = %(customer)s and j.id = %(journey)s and j.version > 0
for share of j
returning *

-- name: add_restart
-- A batch of contacts of another one, to be read at once. Nothing comes back if the journey is not published.
insert into batches (id, customer_id, journey_id, version, starter, state, created_at, source, freeze_waits, hold, paused_at,
    restart_of, restart_outcome, restart_step, restart_upto, sends_until)
select %(id)s, j.customer_id, j.id, j.version, 'batch', 'reading', %(now)s, 'restart', %(freeze_waits)s, %(hold)s,
    case when j.paused_at is not null then %(now)s::timestamptz end,
    %(of)s, %(outcome)s, %(step)s, %(upto)s, %(sends_until)s
from journeys j where j.customer_id = %(customer)s and j.id = %(journey)s and j.version > 0
for share of j
returning *

-- name: being_restarted
-- Whether a batch is just now being read out of the files of this one.
select exists (select from batches where restart_of = %(id)s and state = 'reading') as there

-- name: batch
select * from batches where id = %(id)s

-- name: of_customer
select * from batches where id = %(id)s and customer_id = %(customer)s

-- name: shown
-- All that is shown of some batches, in one statement: so it is of one moment, and a ledger that moves balances.
-- `standing` has a row for each step and each way in which contacts stand there: `moving` (a worker has claimed them),
-- `slowed` (the same, no faster than they may go),
-- `stuck`, `standing` (until a time or an event, for a reason), `retrying` (an attempt failed), `waiting` (not due yet) or `queued` (due, and in line for a worker).
-- Of those that stand, the reason is that of the first who are due. `events`: those that they wait for.
-- `settled` counts contacts whose outcome is known although their cohort is still being sent.
select b.*, j.name, n.standing,
    (select count(*) from arrivals a where a.batch_id = b.id) as arrivals,
    (select coalesce(sum(w.size), 0) from windows w join cohorts c on c.id = w.cohort_id
     where c.batch_id = b.id and w.record is not null) as settled,
    (select coalesce(sum(d.size), 0) from dead_letters d where d.batch_id = b.id) as dead_letters,
    (select json_agg(s) from ledger_steps s where s.batch_id = b.id) as steps,
    (select json_agg(o) from ledger_outcomes o where o.batch_id = b.id) as outcomes,
    (select json_object_agg(r.code, r.contacts) from rejected r where r.batch_id = b.id) as rejected
from batches b
join journeys j on j.customer_id = b.customer_id and j.id = b.journey_id
left join lateral (
    select json_agg(g order by g.due_at, g.step) as standing from (
        select s.step, s.how, sum(s.size) as contacts, min(s.due_at) as due_at, min(s.opened_at) as since,
            min(s.stuck_at) as stuck_at, max(s.attempt) as attempt, min(s.events) as events,
            case s.how when 'standing' then (array_agg(s.reason order by s.due_at, s.id))[1]
                else mode() within group (order by s.reason) end as reason
        from (
            select c.*, l.events, case
                when c.stuck_at is not null then 'stuck'
                when c.holder is not null and c.stands and c.reason is not null then 'slowed'
                when c.holder is not null then 'moving'
                when c.stands and c.due_at > %(now)s then 'standing'
                when c.stands then 'queued'
                when c.reason is not null then 'retrying'
                when c.due_at > %(now)s then 'waiting'
                else 'queued' end as how
            from cohorts c left join listening l on l.cohort_id = c.id
            where c.batch_id = b.id and c.closed_at is null
        ) s group by s.step, s.how
    ) g
) n on b.state in ('running', 'cancelled')
where b.id = any(%(ids)s) and b.customer_id = %(customer)s

-- name: page
-- Newest first; `before` is the id of the last batch of the page before.
select id from batches b
where customer_id = %(customer)s
  and (%(journey)s::bigint is null or journey_id = %(journey)s)
  and (%(states)s::text[] is null
       or case when paused_at is not null and finished_at is null then 'paused' else state end = any(%(states)s))
  and (%(before)s::text is null
       or (created_at, id) < (select created_at, id from batches where id = %(before)s and customer_id = %(customer)s))
order by created_at desc, id desc limit %(limit)s

-- name: with_contacts
-- The newest batches of a customer whose contacts are kept, and how many there are in all.
select *, count(*) over () as total from batches
where customer_id = %(customer)s and version is not null and entered > 0 and forgotten_at is null
order by created_at desc, id desc limit %(limit)s

-- name: lock
-- Every transaction that changes a batch or its ledger begins here, so none of them can deadlock.
select * from batches where id = %(id)s for update

-- name: share
select id from batches where id = %(id)s for key share

-- name: set_state
update batches set state = %(state)s where id = %(id)s and state = any(%(before)s) returning *

-- name: set_received
update batches set state = 'reading', file = %(file)s, bytes = %(bytes)s, sha256 = %(sha256)s,
    encoding = %(encoding)s, version = %(version)s, hindrance = null, failures = 0, deaths = 0, download_url = null,
    paused_at = (select case when j.paused_at is not null then %(now)s::timestamptz end from journeys j
                 where j.customer_id = batches.customer_id and j.id = batches.journey_id)
where id = %(id)s returning *

-- name: set_read
update batches set lines = %(lines)s, blank = %(blank)s, entered = %(entered)s, rejects = %(rejects)s,
    hindrance = null, failures = 0, deaths = 0
where id = %(id)s

-- name: add_rejected
with counted as (
    insert into metric_changes (name, labels, value)
    values ('caravan_rejects_total', jsonb_build_object('code', %(code)s::text), %(contacts)s)
)
insert into rejected (batch_id, code, contacts) values (%(id)s, %(code)s, %(contacts)s)

-- name: set_running
-- A pause that began while it was read goes on; where the batch is to be held, one begins now.
update batches set state = 'running', started_at = %(now)s,
    paused_at = case when hold then coalesce(paused_at, %(now)s) else paused_at end
where id = %(id)s returning *

-- name: set_ended
with turned as (delete from turns where batch_id = %(id)s),
counted as (
    insert into metric_changes (name, labels, value)
    values ('caravan_batches_ended_total', jsonb_build_object('state', %(state)s::text), 1)
)
update batches set state = %(state)s, finished_at = %(now)s, error_code = %(code)s, error = %(error)s,
    hindrance = null, paused_at = null, download_url = null
where id = %(id)s returning *

-- name: set_paused
update batches set paused_at = %(now)s where id = %(id)s returning *

-- name: release_hold
update batches set hold = false where id = %(id)s

-- name: set_hindrance
-- Counts how often the work itself failed in the same way; trouble around it doesn't count.
update batches set
    failures = case when %(around)s then 0 when hindrance = %(hindrance)s then failures + 1 else 1 end,
    hindrance = %(hindrance)s
where id = %(id)s and finished_at is null returning failures

-- name: note_death
-- A worker that worked on the whole batch died: how often in a row.
update batches set deaths = deaths + 1 where id = %(id)s returning deaths

-- name: reset_failures
-- A part of the work on its file is done: what hindered it does so no more.
update batches set hindrance = null, failures = 0, deaths = 0 where id = %(id)s

-- name: clear_hindrance
-- The trouble around the work has passed.
update batches set hindrance = null where id = %(id)s and failures = 0

-- name: has_arrivals
select exists (select from arrivals where batch_id = %(id)s) as there

-- name: with_arrivals
select distinct batch_id as id from arrivals

-- name: unread
-- Their file is to be read or fetched.
select id, state from batches where state = 'reading' or (state = 'receiving' and source = 'download')

-- name: overdue_uploads
-- Not the direct ones, which expire only after a look into the store (engine/direct.py). In the order of their ids, in
-- which every statement that locks several does so.
select id from batches
where state in ('awaiting_upload', 'receiving') and expires_at <= %(now)s and source = 'upload'
  and not exists (select from puts where batch_id = batches.id)  -- it began in time
order by id

-- name: waiting_for_direct
select id, expires_at from batches where state in ('awaiting_upload', 'receiving') and source = 'direct'
order by id

-- name: hinder_direct
-- Those whose file was found already are told by the job that collects it.
update batches set hindrance = %(hindrance)s
where state = 'awaiting_upload' and source = 'direct' and hindrance is distinct from %(hindrance)s

-- name: had_direct
-- Whether any batch that no longer waits for a direct upload was made after a moment.
select exists (
    select from batches
    where source = 'direct' and created_at > %(after)s and state not in ('awaiting_upload', 'receiving')
) as there

-- name: not_waiting
select id from batches where id = any(%(ids)s) and state <> all(%(waiting)s)

-- name: set_digest
update batches set sha256 = %(sha256)s where id = %(id)s

-- name: note_put
-- A PUT to a batch is under way, as of now.
insert into puts (id, batch_id, seen_at) values (%(put)s, %(id)s, now())
on conflict (id) do update set seen_at = now()

-- name: forget_put
delete from puts where id = %(put)s

-- name: any_put
select exists (select from puts where batch_id = %(id)s) as there

-- name: silent_puts
-- The batches to which a PUT was under way that has not been seen for so long.
select distinct batch_id as id from puts where seen_at < now() - make_interval(secs => %(silence)s)
order by id

-- name: forget_silent_puts
delete from puts where batch_id = %(id)s and seen_at < now() - make_interval(secs => %(silence)s)

-- name: receiving_uploads
-- At the start of a machine: no upload is under way. Those of other machines say within seconds that they are.
with gone as (delete from puts)
update batches set state = 'awaiting_upload' where state = 'receiving' and source = 'upload'

-- name: outlived
-- Ended batches whose contacts have been kept for long enough; not those of which a cancel is still carried out. By
-- chance, so that some that can't be deleted don't stand before all others.
select b.id from batches b join customers c on c.id = b.customer_id
where b.forgotten_at is null
  and b.finished_at <= %(now)s - make_interval(days => coalesce(c.retention_days, %(days)s))
  and not exists (select from cohorts where batch_id = b.id and closed_at is null)
  and not exists (select from arrivals where batch_id = b.id)
  and not exists (select from batches r where r.restart_of = b.id and r.state = 'reading')
order by random() limit 100

-- name: count_outlived
-- The same of one customer, if it kept its batches for so many days: how many there are, with how many contacts.
select count(*) as batches, coalesce(sum(b.entered), 0)::bigint as contacts from batches b
where b.customer_id = %(customer)s and b.forgotten_at is null
  and b.finished_at <= %(now)s - make_interval(days => %(days)s)

-- name: set_forgotten
-- To be swept once more: a worker that did not know of its end yet may still write.
update batches set forgotten_at = %(now)s, file = null, rejects = null, swept_at = null where id = %(id)s

-- name: unswept
-- Whoever still stands, because a cancel is still carried out, needs files that nothing else names.
select id from batches b
where swept_at is null and finished_at is not null and greatest(finished_at, forgotten_at) <= %(before)s
  and not exists (select from cohorts where batch_id = b.id and closed_at is null)
  and not exists (select from arrivals where batch_id = b.id)
order by random() limit 100

-- name: set_swept
update batches set swept_at = %(now)s where id = %(id)s

-- name: named_files
-- All files of an ended batch that may still be asked for: also by a recipient who unsubscribes.
select file from journal where batch_id = %(id)s
union select file from cohorts where batch_id = %(id)s and (entry or arrived)
union select file from dead_letters where batch_id = %(id)s
union select rejects from batches where id = %(id)s and rejects is not null
union select file from batches where id = %(id)s and file is not null

-- name: by_state
select state, count(*) as batches from batches group by state

-- name: read_files
-- Batches whose file was read, or will never be, and that still name it.
select id from batches
where file is not null and state not in ('awaiting_upload', 'receiving', 'reading')
  and coalesce(finished_at, started_at) <= %(before)s
order by random() limit 100

-- name: forget_file
update batches set file = null where id = %(id)s and file = %(file)s
