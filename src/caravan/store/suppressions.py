"""Suppressions: who must not be written to on a channel, why, and since when. Lifted ones are kept as well."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "suppressions.sql")


class Reason(StrEnum):
    """Why an address is not written to."""

    UNSUBSCRIBED = "unsubscribed"  # the recipient said so
    HARD_BOUNCE = "hard_bounce"  # it does not exist
    COMPLAINT = "complaint"  # the recipient called a message spam
    STOP = "stop"  # the recipient answered STOP
    MANUAL = "manual"  # a person or a program of the customer said so
    IMPORT = "import"  # it came from another system's list


class Way(StrEnum):
    """By which way a suppression came, or was lifted."""

    ONE_CLICK = "one_click"  # a mail program, for its user (RFC 8058)
    PAGE = "page"  # the recipient, on the page that a message leads to
    API = "api"
    CONSOLE = "console"
    COMMAND = "command"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One suppression. Without a `topic` it stops everything on the channel."""

    channel: str
    address: str  # as delivery/suppression.py: comparable writes it; or hidden, like `hash:5e88…`
    topic: str | None
    reason: Reason
    source: str  # a `Way`, or what else put it there
    who: str
    at: datetime
    detail: str | None = None
    id: int = 0  # 0: not stored yet


@dataclass(frozen=True, slots=True)
class Lifted:
    """A suppression that does not stand any more."""

    suppression: Suppression
    at: datetime
    who: str
    source: str


@dataclass(frozen=True, slots=True)
class Stop:
    """What stands against an address, as the sender needs it."""

    topic: str | None
    reason: Reason
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which suppressions; None takes all. With `address` those that begin so, by address; else the newest first."""

    limit: int
    channel: str | None = None
    address: str | None = None
    topic: str | None = None  # "" is: without a topic
    reason: str | None = None
    before: int | None = None  # without `address`: the number of the last one of the page before
    after: tuple[str, int] | None = None  # with `address`: address and number of the last one of the page before


async def suppressed(
    connection: Connection, customer: int, channel: str, addresses: Sequence[str]
) -> dict[str, list[Stop]]:
    """What stands against each of these addresses; those against which nothing does are left out. One query."""
    stops: dict[str, list[Stop]] = {}
    for each in await rows(connection, _Q.suppressed, customer=customer, channel=channel, addresses=list(addresses)):
        stop = Stop(each["topic"] or None, Reason(each["reason"]), each["source"], each["at"])
        stops.setdefault(each["address"], []).append(stop)
    return stops


async def add(connection: Connection, customer: int, found: Sequence[Suppression]) -> int:
    """Add suppressions; how many of them are new. Those that there are already keep their time and source."""
    columns: dict[str, list[object]] = {
        "channels": [each.channel for each in found],
        "addresses": [each.address for each in found],
        "topics": [each.topic or "" for each in found],
        "reasons": [str(each.reason) for each in found],
        "sources": [str(each.source) for each in found],
        "whos": [each.who for each in found],
        "ats": [each.at for each in found],
        "details": [each.detail for each in found],
    }
    return len(await rows(connection, _Q.add, customer=customer, **columns))


async def lift(
    connection: Connection,
    customer: int,
    channel: str,
    address: str,
    *,
    topic: str | None = None,
    reason: str | None = None,
    who: str,
    source: str,
    now: datetime,
) -> int:
    """Lift the suppressions of an address; how many those were. `topic` "" is: only what has no topic."""
    values = {"channel": channel, "address": address, "topic": topic, "reason": reason}
    found = await rows(connection, _Q.lift, customer=customer, who=who, source=source, now=now, **values)
    return len(found)


async def lift_one(
    connection: Connection, customer: int, id: int, *, who: str, source: str, now: datetime
) -> tuple[int, str] | None:
    """Lift the suppression with this number; its number among those that were lifted, and its address. None if it does
    not stand any more."""
    found = await row(connection, _Q.lift_one, customer=customer, id=id, who=who, source=source, now=now)
    return None if found is None else (int(found["id"]), str(found["address"]))


async def lifted_address(connection: Connection, customer: int, id: int) -> str | None:
    """The address of the suppression with this number among those that were lifted."""
    found = await row(connection, _Q.lifted_one, customer=customer, id=id)
    return None if found is None else str(found["address"])


async def restore(connection: Connection, customer: int, id: int) -> str | None:
    """Undo the lifting with this number; the address, or None if there is nothing to undo any more."""
    found = await row(connection, _Q.restore, customer=customer, id=id)
    return None if found is None else str(found["address"])


async def page(connection: Connection, customer: int, wanted: Wanted, channels: Sequence[str]) -> list[Suppression]:
    """A page of a customer's suppressions. `channels` are all that there are."""
    values = {"topic": wanted.topic, "reason": wanted.reason, "limit": wanted.limit}
    if wanted.address is None:
        found = await rows(
            connection, _Q.newest, customer=customer, channel=wanted.channel, before=wanted.before, **values
        )
    else:
        after, after_id = wanted.after or (None, 0)
        looked = [wanted.channel] if wanted.channel is not None else list(channels)
        bounds = {"first": wanted.address, "end": wanted.address + "\U0010ffff", "after": after, "after_id": after_id}
        found = await rows(connection, _Q.beginning, customer=customer, channels=looked, **bounds, **values)
    return [_suppression(each) for each in found]


async def following(
    connection: Connection, customer: int, after: int, limit: int, channel: str | None, reason: str | None
) -> list[Suppression]:
    """Some of a customer's suppressions, oldest first, from after the number `after` on."""
    values = {"customer": customer, "after": after, "limit": limit, "channel": channel, "reason": reason}
    return [_suppression(each) for each in await rows(connection, _Q.following, **values)]


async def of_address(connection: Connection, customer: int, channel: str, address: str) -> list[Suppression]:
    """What stands against one address, newest first."""
    found = await rows(connection, _Q.of_address, customer=customer, channel=channel, address=address)
    return [_suppression(each) for each in found]


async def lifted(connection: Connection, customer: int, channel: str, address: str, limit: int = 100) -> list[Lifted]:
    """What stood against one address and was lifted, the last one first."""
    values = {"customer": customer, "channel": channel, "address": address, "limit": limit}
    return [
        Lifted(_suppression({"id": 0, **each}), each["lifted_at"], each["lifted_by"], each["lifted_source"])
        for each in await rows(connection, _Q.lifted, **values)
    ]


async def hide(connection: Connection, customer: int, channel: str, addresses: Collection[str]) -> int:
    """Hide whose the suppressions of these addresses are, which stand on; how many those were. What was lifted of them
    is forgotten."""
    found = await row(connection, _Q.hide, customer=customer, channel=channel, addresses=list(addresses))
    return int(found["found"]) if found else 0


async def has_any(connection: Connection, customer: int) -> bool:
    """Whether the customer has any suppression."""
    found = await row(connection, _Q.any_of, customer=customer)
    return bool(found and found["there"])


def _suppression(found: DictRow) -> Suppression:
    return Suppression(
        channel=found["channel"],
        address=found["address"],
        topic=found["topic"] or None,
        reason=Reason(found["reason"]),
        source=found["source"],
        who=found["who"],
        at=found["at"],
        detail=found["detail"],
        id=found["id"],
    )
