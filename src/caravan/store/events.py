"""Events: what contacts did, by day; their keys; and how many came back to the deliveries of a batch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "events.sql")
_SLICE = 20_000  # keys that are forgotten in one statement


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is about to be stored."""

    contact: str
    name: str
    at: datetime
    properties: str  # the text of a JSON object
    source: str
    key: str | None
    batch: str | None
    step: str | None
    visit: int | None
    line: int | None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that is kept."""

    id: int
    name: str
    at: datetime
    taken_at: datetime
    properties: str  # the text of a JSON object
    source: str
    key: str | None
    batch_id: str | None
    step: str | None
    visit: int | None
    line: int | None


@dataclass(frozen=True, slots=True)
class CameBack:
    """How many events of one name answered the deliveries of a step."""

    step: str
    event: str
    events: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a contact did."""

    contact: str
    name: str
    at: datetime
    properties: str  # the text of a JSON object


@dataclass(frozen=True, slots=True)
class NameCount:
    """How many events of a name were taken, and when the last one happened."""

    name: str
    events: int
    last: datetime


async def add_keys(connection: Connection, customer: int, digests: Collection[UUID]) -> set[UUID]:
    """Remember the keys of events; those that were not there before."""
    found = await rows(connection, _Q.add_keys, customer=customer, digests=list(digests))
    return {each["digest"] for each in found}


async def add(connection: Connection, customer: int, events: Sequence[NewEvent]) -> None:
    """Store events as taken now."""
    values = {
        "contacts": [each.contact for each in events],
        "names": [each.name for each in events],
        "ats": [each.at for each in events],
        "properties": [each.properties for each in events],
        "sources": [each.source for each in events],
        "keys": [each.key for each in events],
        "batches": [each.batch for each in events],
        "steps": [each.step for each in events],
        "visits": [each.visit for each in events],
        "lines": [each.line for each in events],
    }
    await connection.execute(_Q.add, {"customer": customer, **values})


async def count(connection: Connection, came_back: Mapping[tuple[str, str, str], int]) -> None:
    """Count events that answer deliveries: {(batch, step, event): how many}."""
    values = {
        "batches": [batch for batch, _, _ in came_back],
        "steps": [step for _, step, _ in came_back],
        "events": [event for _, _, event in came_back],
        "counts": list(came_back.values()),
    }
    await connection.execute(_Q.count, values)


async def came_back(connection: Connection, batch: str) -> list[CameBack]:
    """What came back to the deliveries of a batch, by step and event."""
    return [CameBack(**each) for each in await rows(connection, _Q.came_back, batch=batch)]


async def of_contact(
    connection: Connection,
    customer: int,
    contact: str,
    *,
    limit: int,
    name: str | None = None,
    before: tuple[datetime, int] | None = None,
) -> list[StoredEvent]:
    """A contact's events that are kept, the newest first; `before`: from before the one with this moment and id on."""
    at, number = before or (None, None)
    found = await rows(
        connection,
        _Q.of_contact,
        customer=customer,
        contact=contact,
        limit=limit,
        name=name,
        before_at=at,
        before_id=number,
    )
    return [StoredEvent(**each) for each in found]


async def of_name(
    connection: Connection, customer: int, name: str, *, limit: int, before: tuple[datetime, int] | None = None
) -> list[tuple[str, StoredEvent]]:
    """The events of this name that are kept, the newest first, each with its contact; `before` as of `of_contact`."""
    at, number = before or (None, None)
    values = {"name": name, "limit": limit, "before_at": at, "before_id": number}
    found = await rows(connection, _Q.of_name, customer=customer, **values)
    return [(each.pop("contact"), StoredEvent(**each)) for each in found]


async def names(connection: Connection, customer: int, hours: int) -> list[NameCount]:
    """Which events were taken in the last hours, by name."""
    return [NameCount(**each) for each in await rows(connection, _Q.names, customer=customer, hours=hours)]


async def first_of_delivery(
    connection: Connection, customer: int, contact: str, names: Collection[str], delivery: tuple[str, str, int, int]
) -> str | None:
    """The first of a contact's events of these names that answer a delivery (batch, step, visit, line); its name."""
    values = dict(zip(("batch", "step", "visit", "line"), delivery, strict=True))
    found = await row(connection, _Q.first_of_delivery, customer=customer, contact=contact, names=list(names), **values)
    return None if found is None else str(found["name"])


async def done(
    connection: Connection, customer: int, contacts: Collection[str], names: Collection[str], since: datetime
) -> list[Done]:
    """The events of these names that these contacts did since then, and that are kept, in the order of time."""
    values = {"contacts": list(contacts), "names": sorted(names), "since": since}
    return [Done(**each) for each in await rows(connection, _Q.done, customer=customer, **values)]


async def count_of_contacts(
    connection: Connection, customer: int, contacts: Sequence[str], name: str, since: datetime | None, until: datetime
) -> dict[str, int]:
    """How many events of this name, that are kept, some contacts did after `since` until `until`; who did none is left
    out."""
    values = {"contacts": list(contacts), "name": name, "since": since, "until": until}
    found = await rows(connection, _Q.count_of_contacts, customer=customer, **values)
    return {each["contact"]: each["events"] for each in found}


async def make_partitions(connection: Connection, ahead: int) -> None:
    """See to it that today and so many days after it have partitions. Raises `LockNotAvailable` where others are in
    the way."""
    async with connection.transaction():
        await connection.execute(_Q.wait_briefly)
        await connection.execute(_Q.make_partitions, {"ahead": ahead})


async def drop_outlived(connection: Connection, days: int) -> None:
    """Forget the events that were taken on days more than so many days ago. Raises `LockNotAvailable` where others are
    in the way."""
    async with connection.transaction():
        await connection.execute(_Q.wait_briefly)
        await connection.execute(_Q.drop_partitions, {"days": days})
    await connection.execute(_Q.drop_others, {"days": days})


async def forget_keys(connection: Connection, days: int) -> bool:
    """Forget some of the keys of events that are no longer kept; whether there may be more."""
    done = await connection.execute(_Q.forget_keys, {"days": days, "limit": _SLICE})
    return done.rowcount >= _SLICE


async def forget_customer(connection: Connection, customer: int) -> None:
    """Delete all events of a customer that is about to be removed."""
    await connection.execute(_Q.forget_customer, {"customer": customer})
