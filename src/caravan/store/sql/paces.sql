-- name: lock
-- The paces that bind a customer's deliveries on a channel, its own and that of all customers, for one sender at a time.
select * from paces
where channel = %(channel)s and (customer_id = %(customer)s or customer_id is null) order by id for no key update

-- name: spend
update paces set next_free = %(next_free)s, day = %(day)s, sent = %(sent)s where id = %(id)s

-- name: give_back
update paces set sent = greatest(0, sent - %(count)s),
    next_free = case when per_second is null then next_free
        else next_free - make_interval(secs => %(count)s / per_second) end
where channel = %(channel)s and (customer_id = %(customer)s or customer_id is null)

-- name: moment
-- By the database's clock, which all senders share; after their wait for the lock.
select clock_timestamp() as now

-- name: bound
-- Which channels have a pace at all: [customer or null, channel].
select customer_id, channel from paces

-- name: list
select * from paces where customer_id = %(customer)s or customer_id is null order by channel, customer_id nulls first

-- name: list_all
select * from paces order by channel, customer_id nulls first

-- name: forget
delete from paces where channel = %(channel)s and customer_id is not distinct from %(customer)s::bigint returning id

-- name: change
-- What was sent today still counts; a time that the old pace had given out far ahead does not.
update paces set per_second = %(per_second)s, per_day = %(per_day)s, ramp_from = %(ramp_from)s,
    ramp_first = %(ramp_first)s, ramp_factor = %(ramp_factor)s, changed_at = %(now)s,
    next_free = least(next_free, clock_timestamp())
where channel = %(channel)s and customer_id is not distinct from %(customer)s::bigint returning id

-- name: add
insert into paces (customer_id, channel, per_second, per_day, ramp_from, ramp_first, ramp_factor, changed_at)
values (%(customer)s, %(channel)s, %(per_second)s, %(per_day)s, %(ramp_from)s, %(ramp_first)s, %(ramp_factor)s, %(now)s)

-- name: stand
-- A sender that found the channel's pace used up leaves its cohort, and takes a new place in the queue when it is due.
update cohorts set due_at = %(until)s, reason = %(reason)s, stands = true, paced = %(channel)s, turn = null
where id = %(cohort)s and holder = %(claim)s

-- name: say
-- Why a cohort that is being sent goes no faster.
update cohorts set reason = %(reason)s, stands = true where id = %(cohort)s and reason is distinct from %(reason)s

-- name: wake
-- Whoever stands for a channel's pace is due now, since the pace was changed.
update cohorts c set due_at = %(now)s from batches b
where c.paced = %(channel)s and c.closed_at is null and c.stands and c.due_at > %(now)s
  and b.id = c.batch_id and (%(customer)s::bigint is null or b.customer_id = %(customer)s)
returning c.id

-- name: backlog
-- How many contacts stand for a channel's pace.
select coalesce(sum(size), 0)::bigint as contacts from cohorts where paced = %(channel)s and closed_at is null

-- name: backlog_of_customer
select coalesce(sum(c.size), 0)::bigint as contacts from cohorts c join batches b on b.id = c.batch_id
where c.paced = %(channel)s and c.closed_at is null and c.stands and b.customer_id = %(customer)s
