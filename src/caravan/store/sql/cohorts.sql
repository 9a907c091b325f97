-- name: open
insert into cohorts (batch_id, step, file, size, visit, attempt, first_tried_at, due_at, reason, stands, doubt,
    deaths, turn, entry, arrived, opened_at, entered_at, provider,
    sorted_for, checks, before_at, asked)
values (%(batch)s, %(step)s, %(file)s, %(size)s, %(visit)s, %(attempt)s, %(first_tried)s, %(due)s, %(reason)s, %(stands)s,
    %(doubt)s, %(deaths)s, %(turn)s, %(entry)s, %(arrived)s, %(now)s, %(entered)s, %(provider)s,
    %(sorted_for)s, %(checks)s, %(before)s, %(asked)s)
returning id

-- name: entered_files
-- The files in which a batch's contacts are as they entered: first those that brought them in. The others, for batches
-- that entered before these were marked, and for singles that were recalled before they were gathered, repeat some.
select file from (
    select file, case when entry then 0 else 1 end as kind, id from cohorts
    where batch_id = %(batch)s and (visit = 0 or entry)
    union all
    select file, 2, id from journal where batch_id = %(batch)s and step = %(step)s and outcome is not null
) files
group by file order by min(kind), min(id)

-- name: cohort
select c.*, b.state, b.paused_at, b.customer_id, b.journey_id, b.version, b.sends_until,
    b.created_at as batch_created_at, b.started_at as batch_started_at
from cohorts c join batches b on b.id = c.batch_id where c.id = %(id)s

-- name: lock
select id from cohorts where id = %(id)s and closed_at is null for no key update

-- name: claim
-- The claim is a fencing token (column `holder`): from here on only this claim may move the cohort; a worker with an earlier one finds it void.
update cohorts set holder = %(claim)s where id = %(id)s and closed_at is null returning file, size

-- name: let_go
update cohorts set holder = null where id = %(id)s and holder = %(claim)s

-- name: close
-- Nothing comes back if it was closed before or under another claim: then this move does not happen.
update cohorts set closed_at = %(now)s, holder = null
where id = %(id)s and closed_at is null and holder = %(claim)s returning id

-- name: close_standing
-- Closes all cohorts of a batch that no worker has claimed or has begun to send, for a cancel. Where some have left a
-- cohort, the others are told from them by a worker.
update cohorts c set closed_at = %(now)s
where batch_id = %(batch)s and closed_at is null and holder is null
  and not exists (select from windows where cohort_id = c.id)
  and not exists (select from departures where cohort_id = c.id)
returning id, step, file, size, doubt, asked, replay

-- name: release
-- All others of a cancelled batch, under whatever claim, also of a dead worker: each is looked at once more.
update cohorts set stuck_at = null, failures = 0, deaths = 0
where batch_id = %(batch)s and closed_at is null returning id, step, due_at, turn, provider

-- name: has_windows
-- Whether a sender has begun to send to this cohort.
select exists (select from windows where cohort_id = %(cohort)s) as there

-- name: standing
select id, step, due_at, turn, provider, holder from cohorts where batch_id = %(batch)s and closed_at is null order by id

-- name: standing_files
-- Where contacts stand: the files of a batch's open cohorts.
select id, step, file, attempt, due_at, opened_at, stuck_at, reason, stands, holder is not null as claimed
from cohorts where batch_id = %(batch)s and closed_at is null and (%(step)s::text is null or step = %(step)s)
order by id

-- name: retried
-- The cohorts of a batch of which an attempt failed and that only wait for the next one. Stuck ones are not among them,
-- nor those that were held back by a pause, which are due as soon as they are opened.
select id, step, file, size, visit, doubt, replay, reason from cohorts c
where batch_id = %(batch)s and closed_at is null and holder is null and stuck_at is null
  and first_tried_at is not null and reason is not null and due_at > opened_at and not stands
  and not exists (select from windows where cohort_id = c.id)
order by id

-- name: close_retried
update cohorts set closed_at = %(now)s where id = any(%(ids)s)

-- name: any_standing
select exists (select from cohorts where batch_id = %(batch)s and closed_at is null) as there

-- name: leave_out_pause
-- What stood through a pause, from `since` or from its own opening on, was not tried in that time; and where waits were
-- frozen, nor did it come nearer to being due, unless what it stands for has a time of its own.
update cohorts set
    first_tried_at = first_tried_at + (%(now)s - greatest(opened_at, %(since)s)),
    due_at = case when %(frozen)s and due_at >= %(since)s and not stands
        then due_at + (%(now)s - greatest(opened_at, %(since)s)) else due_at end
where batch_id = %(batch)s and closed_at is null and (first_tried_at is not null or %(frozen)s and due_at >= %(since)s and not stands)

-- name: arrival_files
-- The files with which contacts came to a step, also of those who have left it.
select id, file from cohorts
where batch_id = %(batch)s and step = %(step)s and visit = %(visit)s and arrived order by id

-- name: delete_of_batch
delete from cohorts where batch_id = %(batch)s

-- name: set_reason
-- Something around it is in trouble; the work itself may be fine.
update cohorts set reason = %(reason)s, stands = false where id = %(id)s and closed_at is null

-- name: set_failed
-- The work itself failed; failing `limit` times in the same way, it is stuck. Not where nothing is left to be done but
-- to recall it: that needs no work of its step.
update cohorts c set
    failures = case when reason = %(reason)s then failures + 1 else 1 end,
    stuck_at = case when reason = %(reason)s and failures + 1 >= %(limit)s
        and ('cancelled' <> (select state from batches where id = c.batch_id)
            or exists (select from windows where cohort_id = c.id)) then %(now)s end,
    reason = %(reason)s,
    stands = false
where id = %(id)s and closed_at is null

-- name: note_death
-- The worker that had claimed it died. At the death `limit` in a row, between which no contact moved, it is stuck; where
-- it is not when it fails (set_failed), it is not here.
update cohorts c set
    holder = null,
    deaths = deaths + 1,
    stuck_at = case when deaths + 1 >= %(limit)s
        and ('cancelled' <> (select state from batches where id = c.batch_id)
            or exists (select from windows where cohort_id = c.id)) then now() end,
    reason = %(reason)s,
    stands = false
where id = %(id)s and closed_at is null
returning deaths

-- name: survived
-- Its worker lived through a window.
update cohorts set deaths = 0 where id = %(cohort)s and deaths > 0

-- name: unstick
-- All stuck cohorts of a batch are free to be taken up again.
update cohorts set stuck_at = null, failures = 0, deaths = 0, reason = null
where batch_id = %(batch)s and closed_at is null and stuck_at is not null returning id, step, due_at, turn, provider

-- name: windows
select first, size, holder, record, doubt from windows where cohort_id = %(cohort)s order by first

-- name: standing_of_window
-- Asked before each window: may this claim take one more? The row lock orders it against a new claim.
select c.holder, b.state, b.paused_at from cohorts c join batches b on b.id = c.batch_id
where c.id = %(cohort)s and c.closed_at is null for no key update of c

-- name: take_window
-- Again if this claim took it before and was not told so: it has not begun to send then.
insert into windows (cohort_id, first, size, holder, taken_at)
values (%(cohort)s, %(first)s, %(size)s, %(claim)s, %(now)s)
on conflict (cohort_id, first) do update set taken_at = excluded.taken_at
where windows.holder = excluded.holder and windows.size = excluded.size and windows.record is null
returning first

-- name: settle_window
-- What a cap has counted of it and was not sent counts no longer.
with settled as (
    update windows set record = %(record)s, doubt = %(doubt)s
    where cohort_id = %(cohort)s and first = %(first)s and holder = %(claim)s returning cohort_id
), known as (
    delete from capped_windows where cohort_id = (select cohort_id from settled) returning *
)
delete from capped_sends s
using known k, unnest(k.lines, k.recipients, k.deliveries) as u (line, recipient, delivery)
where u.line = any (%(unsent)s) and s.customer_id = k.customer_id and s.channel = k.channel
  and s.recipient = u.recipient and s.delivery = u.delivery

-- name: recover_window
-- A window that a dead worker left in flight, taken over to say what is known of it.
update windows set holder = %(claim)s where cohort_id = %(cohort)s and first = %(first)s and record is null

-- name: end_turn
-- The sender lets others come first; its cohort stands behind those whom it has sent to.
update cohorts set turn = turn + %(contacts)s where id = %(cohort)s and holder = %(claim)s

-- name: delete_windows
delete from windows where cohort_id = %(cohort)s

-- name: without_job
-- Standing, due, of a batch that runs or was cancelled, and without the job that each of these must have, also if it was
-- claimed.
select c.id, c.step, c.due_at, c.turn, c.provider, b.customer_id, b.journey_id, b.version
from cohorts c join batches b on b.id = c.batch_id
where c.closed_at is null and b.state in ('running', 'cancelled') and b.paused_at is null
  and c.due_at <= %(now)s and c.stuck_at is null
  and not exists (select from procrastinate_jobs where lock = 'cohort:' || c.id and status = 'doing')
  and not exists (select from procrastinate_jobs where queueing_lock = 'cohort:' || c.id and status = 'todo')

-- name: totals
select coalesce(sum(size), 0) as contacts, count(*) as cohorts,
    coalesce(sum(size) filter (where stuck_at is not null), 0) as stuck
from cohorts where closed_at is null
