"""Routes: the relay by which a delivery goes, and the provider to which; how fast each may have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import DictRow

from caravan.store import paces, sql
from caravan.store.database import Connection, rows
from caravan.store.paces import Kind, Limits, Pace

_Q = sql.load("caravan.store", "routes.sql")


@dataclass(frozen=True, slots=True)
class Route:
    """The way of a delivery on its channel."""

    channel: str
    relay: str | None = None  # None where the channel has no relays
    provider: str | None = None  # None where none is known, or it does not matter


@dataclass(frozen=True, slots=True)
class BoundRoute:
    """Where there is a pace by relay or provider; None for any."""

    customer: int | None
    channel: str
    relay: str | None
    provider: str | None

    def binds(self, customer: int, route: Route) -> bool:
        """Whether it binds what this customer sends on a route."""
        return (
            self.channel == route.channel
            and self.customer in (None, customer)
            and self.relay in (None, route.relay)
            and self.provider in (None, route.provider)
        )


async def lock(connection: Connection, customer: int, route: Route) -> list[Pace]:
    """The paces that bind a customer's deliveries on a route beside those of the channel, until the transaction
    ends."""
    return [_pace(each) for each in await rows(connection, _Q.lock, customer=customer, **_columns(route))]


async def spend(connection: Connection, pace: Pace) -> None:
    """Note what is used of a pace now, of whichever kind it is."""
    if not pace.is_of_route:
        return await paces.spend(connection, pace)
    values = {"id": pace.id, "next_free": pace.next_free, "day": pace.day, "sent": pace.sent}
    await connection.execute(_Q.spend, values)


async def give_back(connection: Connection, customer: int, route: Route, count: int) -> None:
    """So many deliveries that were let through had nothing to send."""
    await paces.give_back(connection, customer, route.channel, count)
    await connection.execute(_Q.give_back, {"customer": customer, "count": count, **_columns(route)})


async def bound(connection: Connection) -> list[BoundRoute]:
    """Where there is a pace."""
    names = ("customer_id", "channel", "relay", "provider")
    return [BoundRoute(*(each[name] for name in names)) for each in await rows(connection, _Q.bound)]


async def of_customer(connection: Connection, customer: int | None) -> list[Pace]:
    """The paces that bind a customer, or all of the installation (None)."""
    return [_pace(each) for each in await rows(connection, _Q.list, customer=customer)]


async def change(
    connection: Connection, customer: int | None, route: Route, limits: Limits | None, now: datetime
) -> list[int]:
    """Set the limits of a route, or take them away, and make due whoever may stand for them: the cohorts' ids."""
    if limits is None:
        await connection.execute(_Q.forget, {"customer": customer, **_columns(route)})
    else:
        await _put(connection, Kind.SET, customer, route, limits, now)
    return await wake(connection, customer, route, now)


async def wake(connection: Connection, customer: int | None, route: Route, now: datetime) -> list[int]:
    """Make due whoever may stand for this route: the cohorts' ids."""
    values = {"customer": customer, "channel": route.channel, "provider": route.provider, "now": now}
    return [int(each["id"]) for each in await rows(connection, _Q.wake, **values)]


async def slow(
    connection: Connection,
    route: Route,
    rate: float | None,
    connections: int | None,
    until: datetime,
    reason: str,
    now: datetime,
) -> None:
    """Slow a route down for a time, for all customers."""
    limits = Limits(per_second=rate)
    await _put(connection, Kind.SLOW, None, route, limits, now, connections=connections, until=until, reason=reason)


async def keep_rules(connection: Connection, channel: str, rules: Sequence[tuple[str, Limits]], now: datetime) -> None:
    """Let exactly these limits by provider hold, as a file has them, where none are set."""
    await connection.execute(_Q.tidy)
    await connection.execute(_Q.keep_rules, {"channel": channel, "providers": [name for name, _ in rules]})
    for name, limits in rules:
        await _put(connection, Kind.RULES, None, Route(channel, None, name), limits, now)


async def backlog(connection: Connection, channel: str, customer: int | None = None) -> dict[str, int]:
    """How many contacts stand for a pace or a breaker, by provider; "" for those of no provider."""
    found = await rows(connection, _Q.backlog, channel=channel, customer=customer)
    return {each["provider"]: int(each["contacts"]) for each in found}


async def sort(connection: Connection, cohort: int, claim: str, provider: str | None, sorted_for: str) -> None:
    """Note that all contacts of a claimed cohort have this provider, or none for which contacts are sorted out."""
    values = {"cohort": cohort, "claim": claim, "provider": provider, "sorted_for": sorted_for}
    await connection.execute(_Q.sort, values)


async def _put(
    connection: Connection,
    kind: Kind,
    customer: int | None,
    route: Route,
    limits: Limits,
    now: datetime,
    *,
    connections: int | None = None,
    until: datetime | None = None,
    reason: str | None = None,
) -> None:
    values = {"kind": str(kind), "customer": customer, **_columns(route), **paces.columns_of(limits), "now": now}
    await connection.execute(_Q.change, {**values, "connections": connections, "ends_at": until, "reason": reason})


def _columns(route: Route) -> dict[str, str | None]:
    return {"channel": route.channel, "relay": route.relay, "provider": route.provider}


def _pace(found: DictRow) -> Pace:
    return Pace(
        id=found["id"],
        customer=found["customer_id"],
        channel=found["channel"],
        limits=paces.limits_of(found),
        next_free=found["next_free"],
        day=found["day"],
        sent=found["sent"],
        relay=found["relay"],
        provider=found["provider"],
        kind=Kind(found["kind"]),
        connections=found["connections"],
        until=found["ends_at"],
        reason=found["reason"],
    )
