-- name: notable
-- Those of which senders must know.
select * from breakers where state <> 'closed' or failures > 0

-- name: list
select * from breakers where state <> 'closed' and (%(channel)s::text is null or channel = %(channel)s)
order by channel, relay, provider

-- name: lock
-- Those of a relay, and of one provider by it, for one sender at a time.
select * from breakers where channel = %(channel)s and relay = %(relay)s and provider = any(%(providers)s)
order by provider for update

-- name: put
insert into breakers (channel, relay, provider, state, reason, changed_at, probe_at, tries, connections, failures, hits,
    holder, held_until)
values (%(channel)s, %(relay)s, %(provider)s, %(state)s, %(reason)s, %(changed_at)s, %(probe_at)s, %(tries)s,
    %(connections)s, %(failures)s, %(hits)s, %(holder)s, %(held_until)s)
on conflict (channel, relay, provider) do update set state = excluded.state, reason = excluded.reason,
    changed_at = excluded.changed_at, probe_at = excluded.probe_at, tries = excluded.tries,
    connections = excluded.connections, failures = excluded.failures, hits = excluded.hits, holder = excluded.holder,
    held_until = excluded.held_until
