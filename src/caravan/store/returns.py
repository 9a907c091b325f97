"""What came back to deliveries: bounces, complaints, replies, as they came; and what has to be remembered of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "returns.sql")
_SLICE = 1_000  # messages that are forgotten in one statement


@dataclass(frozen=True, slots=True)
class NewReturn:
    """Something that came back and is about to be stored."""

    customer: int
    batch: str
    step: str
    visit: int
    line: int
    contact: str
    address: str | None
    kind: str
    hard: bool
    code: str
    reason: str
    source: str
    at: datetime
    raw: bytes


@dataclass(frozen=True, slots=True)
class StoredReturn:
    """Something that came back."""

    id: int
    step: str
    visit: int
    line: int
    contact: str
    address: str | None
    kind: str
    hard: bool
    code: str
    reason: str
    source: str
    at: datetime
    kept: bool  # whether the message is there as it came


@dataclass(frozen=True, slots=True)
class SoftBounces:
    """So many soft bounces in a row."""

    bounces: int
    first_at: datetime


async def add(connection: Connection, found: Sequence[NewReturn], now: datetime) -> list[int]:
    """Store what came back; the places in `found` of those that are new: one of each kind, and a hard and a soft
    bounce, for a delivery."""
    values = {
        "customers": [each.customer for each in found],
        "batches": [each.batch for each in found],
        "steps": [each.step for each in found],
        "visits": [each.visit for each in found],
        "lines": [each.line for each in found],
        "contacts": [each.contact for each in found],
        "addresses": [each.address for each in found],
        "kinds": [each.kind for each in found],
        "hards": [each.hard for each in found],
        "codes": [each.code for each in found],
        "reasons": [each.reason for each in found],
        "sources": [each.source for each in found],
        "ats": [each.at for each in found],
        "raws": [each.raw or None for each in found],
    }
    return sorted(each["place"] - 1 for each in await rows(connection, _Q.add, now=now, **values))


async def of_batch(
    connection: Connection, batch: str, *, after: int, limit: int, step: str | None = None, kind: str | None = None
) -> list[StoredReturn]:
    """Some of what came back to a batch, the oldest first, from after the number `after` on."""
    found = await rows(connection, _Q.of_batch, batch=batch, after=after, limit=limit, step=step, kind=kind)
    return [StoredReturn(**each) for each in found]


async def newest(
    connection: Connection,
    batch: str,
    *,
    limit: int,
    before: int | None = None,
    step: str | None = None,
    kind: str | None = None,
) -> list[StoredReturn]:
    """The same, the newest first, from before the number `before` on."""
    found = await rows(connection, _Q.newest, batch=batch, before=before, limit=limit, step=step, kind=kind)
    return [StoredReturn(**each) for each in found]


async def raw(connection: Connection, batch: str, id: int) -> bytes | None:
    """The message with this number as it came; None if there is none, or it is not kept any more."""
    found = await row(connection, _Q.raw, batch=batch, id=id)
    return None if found is None or found["raw"] is None else bytes(found["raw"])


async def bounces(connection: Connection, batch: str) -> dict[tuple[str, bool], int]:
    """How many bounces each step of a batch has: {(step, hard): how many}."""
    return {(each["step"], each["hard"]): each["bounces"] for each in await rows(connection, _Q.bounces, batch=batch)}


async def by_minute(connection: Connection, batch: str) -> dict[tuple[datetime, str], int]:
    """How much of which kind came back in each minute: {(minute, kind): how much}."""
    return {(each["minute"], each["kind"]): each["found"] for each in await rows(connection, _Q.by_minute, batch=batch)}


async def trim(connection: Connection, before: datetime) -> bool:
    """Forget some of the messages that came before a moment; whether there may be more."""
    return (await connection.execute(_Q.trim, {"before": before, "limit": _SLICE})).rowcount >= _SLICE


async def forget(connection: Connection, batch: str) -> None:
    """Delete what came back to a batch."""
    await connection.execute(_Q.forget, {"batch": batch})


async def count_soft(
    connection: Connection, customer: int, addresses: Sequence[str], now: datetime, stale: datetime
) -> dict[str, SoftBounces]:
    """Mail to these addresses bounced softly, once for each time that it is named: {address: how often in a row}. What
    was before `stale` does not count any more."""
    found = await rows(connection, _Q.count_soft, customer=customer, addresses=list(addresses), now=now, stale=stale)
    return {each["address"]: SoftBounces(each["bounces"], each["first_at"]) for each in found}


async def forget_soft(connection: Connection, customer: int, addresses: Sequence[str]) -> None:
    """These addresses took a mail: the row of their bounces has ended."""
    await connection.execute(_Q.forget_soft, {"customer": customer, "addresses": sorted(set(addresses))})


async def trim_soft(connection: Connection, stale: datetime) -> None:
    """Forget rows of bounces that ended before a moment."""
    await connection.execute(_Q.trim_soft, {"stale": stale})


async def take_token(connection: Connection, source: str, token: str, now: datetime) -> bool:
    """Whether this token comes for the first time."""
    return await row(connection, _Q.take_token, source=source, token=token, now=now) is not None


async def forget_tokens(connection: Connection, before: datetime) -> None:
    """Forget the tokens that were taken before a moment."""
    await connection.execute(_Q.forget_tokens, {"before": before})
