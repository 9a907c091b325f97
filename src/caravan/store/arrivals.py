"""Arrivals: singles between their 202 and their cohort, and the batches that gather them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from caravan.store import batches, journeys, sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "arrivals.sql")
_DAY = timedelta(days=1)
#: What the queueing lock of a batch's job `gather` begins with.
GATHER_LOCK = "singles:"

Place = tuple[int, int]  # a customer and a journey


@dataclass(frozen=True, slots=True)
class Single:
    """A contact that enters the batch which gathers its journey's singles."""

    batch: str
    contact: str
    properties: str  # the text of a JSON object


@dataclass(frozen=True, slots=True)
class Arrived:
    """A single that waits to be gathered."""

    id: int
    contact: str
    properties: str


async def gatherings(connection: Connection, places: Collection[Place], now: datetime) -> dict[Place, str]:
    """The batch that gathers the singles of each journey's newest version, shared-locked against the gathering itself;
    for a journey that is not published there is none.

    A batch takes the singles of a day: if it went on for ever, it would never end, and its contacts never be forgotten.
    """
    found = await _gatherings(connection, places, now)
    while missing := sorted(set(places) - set(found)):
        for customer, journey in missing:  # before any of their batches, as a pause of a journey does
            await journeys.share(connection, customer, journey)
        opened = [place for place in missing if await _open(connection, place, now)]
        if not opened:
            return found
        found |= await _gatherings(connection, opened, now)
        places = opened
    return found


async def _gatherings(connection: Connection, places: Collection[Place], now: datetime) -> dict[Place, str]:
    customers, numbers = [customer for customer, _ in places], [journey for _, journey in places]
    found = await rows(connection, _Q.gatherings, customers=customers, journeys=numbers, since=now - _DAY)
    return {(each["customer_id"], each["journey_id"]): str(each["id"]) for each in found}


async def _open(connection: Connection, place: Place, now: datetime) -> bool:
    """Open a batch for the singles of a journey, unless another process has just done so; False if the journey is not
    published."""
    customer, journey = place
    if not await journeys.is_published(connection, customer, journey):
        return False
    names = {"customer": customer, "journey": journey}
    await connection.execute(_Q.stop_gathering, {**names, "since": now - _DAY})
    await connection.execute(_Q.open_gathering, {**names, "id": batches.new_batch_id(), "now": now})
    return True


async def add(connection: Connection, singles: Sequence[Single]) -> list[str]:
    """Store singles, in their order; the batches that have no job in the queue yet which gathers them."""
    found = await rows(
        connection,
        _Q.add,
        batches=[each.batch for each in singles],
        contacts=[each.contact for each in singles],
        properties=[each.properties for each in singles],
        distinct=sorted({each.batch for each in singles}),
        lock=GATHER_LOCK,
    )
    return [str(each["id"]) for each in found]


async def last(connection: Connection, batch: str) -> int | None:
    """The last single that has arrived."""
    found = await row(connection, _Q.last, id=batch)
    return found["id"] if found else None


async def oldest(connection: Connection, batch: str, last: int, limit: int, octets: int) -> list[Arrived]:
    """The oldest singles up to `last`: at most `limit`, and of so many octets together, but for the first."""
    found = await rows(connection, _Q.oldest, id=batch, last=last, limit=limit, bytes=octets)
    return [Arrived(each["id"], each["contact"], each["properties"]) for each in found]


async def take(connection: Connection, arrived: Sequence[Arrived]) -> int:
    """Take singles out of those that wait; how many of them still did."""
    return len(await rows(connection, _Q.take, ids=[each.id for each in arrived]))


async def enter(connection: Connection, batch: str, contacts: int) -> None:
    """Count singles as entered."""
    await connection.execute(_Q.enter, {"id": batch, "contacts": contacts})


async def any_waiting(connection: Connection, batch: str) -> bool:
    """Whether singles of this batch wait to be gathered."""
    found = await row(connection, _Q.any_waiting, id=batch)
    return bool(found and found["there"])
