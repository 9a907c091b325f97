-- name: suppressed
-- The suppressions of some addresses: one look into the index for each, whatever the table's size; and those of
-- recipients who were forgotten, if the customer has any.
select address, topic, reason, source, at from suppressions
where customer_id = %(customer)s and channel = %(channel)s and address = any(%(addresses)s::text[])
union all
select g.address, s.topic, s.reason, s.source, s.at from unnest(%(addresses)s::text[]) as g (address)
join suppressions s on s.customer_id = %(customer)s and s.channel = %(channel)s
    and s.address = hidden_address(%(channel)s, g.address)
where exists (
    select from suppressions
    where customer_id = %(customer)s and channel = %(channel)s and address >= 'hash:' and address < 'hash;'
)

-- name: hide
-- The suppressions of addresses whose recipient was forgotten stand on, and tell nobody whose they are.
with found as (
    delete from suppressions
    where customer_id = %(customer)s and channel = %(channel)s and address = any(%(addresses)s::text[])
    returning *
), hidden as (
    insert into suppressions (customer_id, channel, address, topic, reason, source, who, at)
    select customer_id, channel, hidden_address(channel, address), topic, reason, source, who, at from found
    on conflict (customer_id, channel, address, topic, reason) do nothing
), past as (
    delete from lifted_suppressions
    where customer_id = %(customer)s and channel = %(channel)s and address = any(%(addresses)s::text[])
)
select count(*) as found from found

-- name: add
-- Many at once; what there is already stays as it was. Only those that are new come back.
insert into suppressions (customer_id, channel, address, topic, reason, source, who, at, detail)
select %(customer)s, given.channel, given.address, given.topic, given.reason, given.source, given.who, given.at, given.detail
from unnest(%(channels)s::text[], %(addresses)s::text[], %(topics)s::text[], %(reasons)s::text[], %(sources)s::text[],
    %(whos)s::text[], %(ats)s::timestamptz[], %(details)s::text[])
    as given (channel, address, topic, reason, source, who, at, detail)
order by given.channel, given.address, given.topic, given.reason
on conflict (customer_id, channel, address, topic, reason) do nothing
returning id

-- name: lift
-- Removes suppressions of an address, and keeps them in its history.
with gone as (
    delete from suppressions
    where customer_id = %(customer)s and channel = %(channel)s and address in (%(address)s, hidden_address(%(channel)s, %(address)s))
      and (%(topic)s::text is null or topic = %(topic)s) and (%(reason)s::text is null or reason = %(reason)s)
    returning *
)
insert into lifted_suppressions (customer_id, channel, address, topic, reason, source, who, at, detail,
    lifted_at, lifted_by, lifted_source)
select customer_id, channel, address, topic, reason, source, who, at, detail, %(now)s, %(who)s, %(source)s from gone
returning id

-- name: lift_one
-- The same for the one with this number.
with gone as (delete from suppressions where customer_id = %(customer)s and id = %(id)s returning *)
insert into lifted_suppressions (customer_id, channel, address, topic, reason, source, who, at, detail,
    lifted_at, lifted_by, lifted_source)
select customer_id, channel, address, topic, reason, source, who, at, detail, %(now)s, %(who)s, %(source)s from gone
returning id, address

-- name: lifted_one
select address from lifted_suppressions where customer_id = %(customer)s and id = %(id)s

-- name: restore
-- A suppression that was lifted stands again, as it was; it leaves the history, since nothing has happened then.
with back as (delete from lifted_suppressions where customer_id = %(customer)s and id = %(id)s returning *),
made as (
    insert into suppressions (customer_id, channel, address, topic, reason, source, who, at, detail)
    select customer_id, channel, address, topic, reason, source, who, at, detail from back
    on conflict (customer_id, channel, address, topic, reason) do nothing
)
select address from back

-- name: newest
-- A page of a customer's suppressions, newest first, from before one of them on.
select id, channel, address, topic, reason, source, who, at, detail from suppressions
where customer_id = %(customer)s and (%(before)s::bigint is null or id < %(before)s)
  and (%(channel)s::text is null or channel = %(channel)s)
  and (%(topic)s::text is null or topic = %(topic)s) and (%(reason)s::text is null or reason = %(reason)s)
order by id desc limit %(limit)s

-- name: beginning
-- The same for addresses that begin so (`first` <= address < `end`), by address: some on each channel.
select id, channel, address, topic, reason, source, who, at, detail from suppressions
where customer_id = %(customer)s and channel = any(%(channels)s::text[])
  and address >= %(first)s and address < %(end)s
  and (%(after)s::text is null or (address, id) > (%(after)s, %(after_id)s))
  and (%(topic)s::text is null or topic = %(topic)s) and (%(reason)s::text is null or reason = %(reason)s)
order by address, id limit %(limit)s

-- name: following
-- Some thousand of a customer's suppressions, oldest first, from after one of them on: for an export.
select id, channel, address, topic, reason, source, who, at, detail from suppressions
where customer_id = %(customer)s and id > %(after)s
  and (%(channel)s::text is null or channel = %(channel)s) and (%(reason)s::text is null or reason = %(reason)s)
order by id limit %(limit)s

-- name: lifted
-- What was lifted of an address, newest first.
select channel, address, topic, reason, source, who, at, detail, lifted_at, lifted_by, lifted_source
from lifted_suppressions
where customer_id = %(customer)s and channel = %(channel)s and address = %(address)s
order by id desc limit %(limit)s

-- name: of_address
select id, channel, address, topic, reason, source, who, at, detail from suppressions
where customer_id = %(customer)s and channel = %(channel)s and address in (%(address)s, hidden_address(%(channel)s, %(address)s))
order by id desc

-- name: any_of
select exists (select from suppressions where customer_id = %(customer)s) as there
