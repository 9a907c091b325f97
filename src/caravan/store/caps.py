"""Caps: how many messages a recipient gets on a channel, and which count for that."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "caps.sql")


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many messages to a recipient in any period of this length."""

    most: int
    period: timedelta
    waits: bool = False  # what is over it stands until it is not, instead of being left out


@dataclass(frozen=True, slots=True)
class Counted:
    """A message that counts for a recipient. Recipient and delivery are digests."""

    recipient: bytes
    delivery: bytes
    line: int  # of its contact


async def bound(connection: Connection) -> set[tuple[int, str]]:
    """Where there is a cap: (customer, channel)."""
    return {(each["customer_id"], each["channel"]) for each in await rows(connection, _Q.bound)}


async def lock(connection: Connection, customer: int, channel: str) -> Cap | None:
    """The cap of a customer's channel, until the transaction ends; None if there is none."""
    found = await row(connection, _Q.lock, customer=customer, channel=channel)
    return None if found is None else _cap(found)


async def of_customer(connection: Connection, customer: int) -> dict[str, Cap]:
    """The caps of a customer, by channel."""
    return {each["channel"]: _cap(each) for each in await rows(connection, _Q.of_customer, customer=customer)}


async def change(connection: Connection, customer: int, channel: str, cap: Cap | None, now: datetime) -> None:
    """Set the cap of a customer's channel, or end it."""
    place = {"customer": customer, "channel": channel, "now": now}
    if cap is None:
        await connection.execute(_Q.end, place)
    else:
        values = {"most": cap.most, "period": cap.period, "waits": cap.waits}
        await connection.execute(_Q.set, {**place, **values})


async def wake(connection: Connection, customer: int, words: str, now: datetime) -> list[int]:
    """Make due whoever stands for a cap in these words: the cohorts' ids."""
    return [int(each["id"]) for each in await rows(connection, _Q.wake, customer=customer, words=words, now=now)]


async def counted(
    connection: Connection, customer: int, channel: str, recipients: Sequence[bytes], since: datetime
) -> dict[bytes, list[tuple[datetime, bytes]]]:
    """What counts for these recipients after a moment: (when, delivery) of each message, by recipient."""
    found = defaultdict[bytes, list[tuple[datetime, bytes]]](list)
    values = {"customer": customer, "channel": channel, "recipients": list(recipients), "since": since}
    # Binary, as its parameters are: of thousands of small values, writing them as text is most of the work.
    cursor = await connection.execute(_Q.counted, values, binary=True)
    for each in await cursor.fetchall():
        found[recipients[each["place"] - 1]].append((each["at"], each["delivery"]))
    return found


async def count(
    connection: Connection,
    cohort: int,
    claim: str,
    customer: int,
    channel: str,
    sends: Sequence[Counted],
    now: datetime,
) -> bool:
    """Count messages of a cohort's window that are about to go out; False if another claim has the cohort by now. When
    the window is settled, those that have not gone are taken back (windows.py)."""
    values = {
        "lines": [each.line for each in sends],
        "recipients": [each.recipient for each in sends],
        "deliveries": [each.delivery for each in sends],
    }
    place = {"cohort": cohort, "claim": claim, "customer": customer, "channel": channel}
    return await row(connection, _Q.count, **place, **values, now=now) is not None


@dataclass(frozen=True, slots=True)
class WithCounts:
    """A cap of which counts may be kept."""

    customer: int
    channel: str
    period: timedelta
    ended: bool


async def with_counts(connection: Connection) -> list[WithCounts]:
    """All caps, also ended ones of which something is left."""
    found = await rows(connection, _Q.with_counts)
    return [WithCounts(each["customer_id"], each["channel"], each["period"], each["ended"]) for each in found]


async def forget(connection: Connection, customer: int, channel: str, before: datetime, limit: int) -> int:
    """Forget counts up to a moment, at most so many; how many there were."""
    values = {"customer": customer, "channel": channel, "before": before, "limit": limit}
    return (await connection.execute(_Q.forget, values)).rowcount


async def drop_ended(connection: Connection, customer: int, channel: str) -> None:
    """Drop an ended cap of which nothing is left."""
    await connection.execute(_Q.drop_ended, {"customer": customer, "channel": channel})


def _cap(found: DictRow) -> Cap:
    return Cap(found["most"], found["period"], found["waits"])
