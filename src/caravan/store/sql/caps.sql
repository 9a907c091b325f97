-- name: bound
-- Where there is a cap: [customer, channel].
select customer_id, channel from caps where ended_at is null

-- name: lock
-- The cap of a customer's channel, for one sender at a time.
select most, period, waits from caps
where customer_id = %(customer)s and channel = %(channel)s and ended_at is null for no key update

-- name: of_customer
select channel, most, period, waits from caps where customer_id = %(customer)s and ended_at is null

-- name: set
insert into caps (customer_id, channel, most, period, waits, changed_at)
values (%(customer)s, %(channel)s, %(most)s, %(period)s, %(waits)s, %(now)s)
on conflict (customer_id, channel) do update set most = excluded.most, period = excluded.period, waits = excluded.waits,
    changed_at = excluded.changed_at, ended_at = null

-- name: end
-- What it has counted is kept until upkeep forgets it, should it be set again.
update caps set ended_at = %(now)s where customer_id = %(customer)s and channel = %(channel)s and ended_at is null
returning channel

-- name: wake
-- Whoever stands for a cap in these words is due now, since the cap was changed.
update cohorts c set due_at = %(now)s from batches b
where c.closed_at is null and c.stands and c.due_at > %(now)s and c.reason = %(words)s
  and b.id = c.batch_id and b.customer_id = %(customer)s
returning c.id

-- name: counted
-- What counts for these recipients: one look into the index for each.
select a.place, s.delivery, s.at
from unnest(%(recipients)b::bytea[]) with ordinality as a (recipient, place)
cross join lateral (
    select delivery, at from capped_sends
    where customer_id = %(customer)s and channel = %(channel)s and recipient = a.recipient and at > %(since)s
) s

-- name: count
-- Count the deliveries of a cohort's window, unless another claim has the cohort by now. What is counted already, at an
-- earlier attempt that may have arrived, is counted once.
with noted as (
    insert into capped_windows (cohort_id, customer_id, channel, lines, recipients, deliveries)
    select id, %(customer)s, %(channel)s, %(lines)b::bigint[], %(recipients)b::bytea[], %(deliveries)b::bytea[]
    from cohorts where id = %(cohort)s and holder = %(claim)s
    on conflict (cohort_id) do update set lines = excluded.lines, recipients = excluded.recipients,
        deliveries = excluded.deliveries
    returning customer_id, channel
), counted as (
    insert into capped_sends (customer_id, channel, recipient, delivery, at)
    select n.customer_id, n.channel, u.recipient, u.delivery, %(now)s
    from noted n, unnest(%(recipients)b::bytea[], %(deliveries)b::bytea[]) as u (recipient, delivery)
    on conflict do nothing
)
select customer_id from noted

-- name: with_counts
-- The caps, also ended ones, of which counts may be kept.
select customer_id, channel, period, ended_at is not null as ended from caps

-- name: forget
-- Some counts that are over.
delete from capped_sends where ctid = any (array(
    select ctid from capped_sends
    where customer_id = %(customer)s and channel = %(channel)s and at <= %(before)s
    order by at limit %(limit)s
))

-- name: drop_ended
-- An ended cap of which nothing is left.
delete from caps c where customer_id = %(customer)s and channel = %(channel)s and ended_at is not null
  and not exists (select from capped_sends s where s.customer_id = c.customer_id and s.channel = c.channel)
