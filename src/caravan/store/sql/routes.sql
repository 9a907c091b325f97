-- name: lock
-- The paces that bind what a customer sends by a relay to a provider, for one sender at a time. What was set takes the
-- place of what the file says.
select * from route_paces r
where channel = %(channel)s and (customer_id = %(customer)s or customer_id is null)
  and (relay is null or relay = %(relay)s) and (provider is null or provider = %(provider)s)
  and (ends_at is null or ends_at > clock_timestamp())
  and not (kind = 'rules' and exists (select from route_paces s where s.kind = 'set' and s.customer_id is null
      and s.channel = r.channel and s.relay is not distinct from r.relay and s.provider is not distinct from r.provider))
order by id for no key update

-- name: spend
update route_paces set next_free = %(next_free)s, day = %(day)s, sent = %(sent)s where id = %(id)s

-- name: give_back
update route_paces set sent = greatest(0, sent - %(count)s),
    next_free = case when per_second is null then next_free
        else next_free - make_interval(secs => %(count)s / per_second) end
where channel = %(channel)s and (customer_id = %(customer)s or customer_id is null)
  and (relay is null or relay = %(relay)s) and (provider is null or provider = %(provider)s)

-- name: bound
-- Where there is a pace by relay or provider at all.
select distinct customer_id, channel, relay, provider from route_paces where ends_at is null or ends_at > clock_timestamp()

-- name: list
-- Those that bind a customer, or all for none.
select * from route_paces
where (%(customer)s::bigint is null or customer_id = %(customer)s or customer_id is null)
  and (ends_at is null or ends_at > clock_timestamp())
order by channel, provider nulls first, relay nulls first, customer_id nulls first, kind

-- name: forget
delete from route_paces
where kind = 'set' and channel = %(channel)s and customer_id is not distinct from %(customer)s::bigint
  and relay is not distinct from %(relay)s::text and provider is not distinct from %(provider)s::text

-- name: change
-- What was sent today still counts; a time that the old pace had given out far ahead does not.
insert into route_paces (kind, customer_id, channel, relay, provider, per_second, per_day, ramp_from, ramp_first,
    ramp_factor, connections, ends_at, reason, changed_at)
values (%(kind)s, %(customer)s, %(channel)s, %(relay)s, %(provider)s, %(per_second)s, %(per_day)s, %(ramp_from)s,
    %(ramp_first)s, %(ramp_factor)s, %(connections)s, %(ends_at)s, %(reason)s, %(now)s)
on conflict (channel, kind, coalesce(customer_id, 0), coalesce(relay, ''), coalesce(provider, '')) do update set
    per_second = excluded.per_second, per_day = excluded.per_day, ramp_from = excluded.ramp_from,
    ramp_first = excluded.ramp_first, ramp_factor = excluded.ramp_factor, connections = excluded.connections,
    ends_at = excluded.ends_at, reason = excluded.reason, changed_at = excluded.changed_at,
    next_free = case when route_paces.per_second is not distinct from excluded.per_second then route_paces.next_free
        else least(route_paces.next_free, clock_timestamp()) end

-- name: keep_rules
-- Of what the file says, only these providers are left.
delete from route_paces where kind = 'rules' and channel = %(channel)s and provider <> all(%(providers)s)

-- name: tidy
-- What slowed down for a time that is over.
delete from route_paces where ends_at < clock_timestamp() - interval '1 day'

-- name: wake
-- Whoever stands for a pace or a breaker of the channel is due now.
update cohorts c set due_at = %(now)s from batches b
where c.paced = %(channel)s and c.closed_at is null and c.stands and c.due_at > %(now)s
  and b.id = c.batch_id and (%(customer)s::bigint is null or b.customer_id = %(customer)s)
  and (%(provider)s::text is null or c.provider = %(provider)s)
returning c.id

-- name: backlog
-- How many contacts stand for each provider of a channel, of a customer or of all; '' for those of no provider.
select coalesce(c.provider, '') as provider, sum(c.size)::bigint as contacts
from cohorts c join batches b on b.id = c.batch_id
where c.paced = %(channel)s and c.closed_at is null and c.stands
  and (%(customer)s::bigint is null or b.customer_id = %(customer)s)
group by 1

-- name: sort
-- All contacts of a claimed cohort turned out to have one provider, or none for which contacts are sorted out.
update cohorts set provider = %(provider)s, sorted_for = %(sorted_for)s where id = %(cohort)s and holder = %(claim)s
