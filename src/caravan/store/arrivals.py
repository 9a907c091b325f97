"""Arrivals: singles between their 202 and their cohort, and the batches that gather them."""

from collections.abc import Sequence
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
    """A contact that enters a journey alone."""

    customer: int
    journey: int
    contact: str
    properties: str  # the text of a JSON object

    @property
    def place(self) -> Place:
        """Where it enters."""
        return self.customer, self.journey


@dataclass(frozen=True, slots=True)
class Gathering:
    """A batch that takes the singles of a journey version; it is shared-locked against the gathering itself."""

    batch: str
    queued: bool  # whether a job that gathers them is in the queue
    version: int = 0
    guarded: bool = False  # the journey does not let everybody in again, so that nobody was stored


@dataclass(frozen=True, slots=True)
class Arrived:
    """A single that waits to be gathered."""

    id: int
    contact: str
    properties: str


async def add(connection: Connection, singles: Sequence[Single], now: datetime) -> dict[Place, Gathering]:
    """Store singles, in their order, in the batches that take them; for a journey that is not published there is none.

    A batch takes the singles of a day: if it went on for ever, it would never end, and its contacts never be forgotten.
    """
    found = await _add(connection, singles, now)
    while missing := [each for each in singles if each.place not in found]:
        places = sorted({each.place for each in missing})
        for customer, journey in places:  # before any of their batches, as a pause of a journey does
            await journeys.share(connection, customer, journey)
        opened = {place for place in places if await _open(connection, place, now)}
        if not opened:
            break
        singles = [each for each in missing if each.place in opened]
        found |= await _add(connection, singles, now)
    return found


async def _add(connection: Connection, singles: Sequence[Single], now: datetime) -> dict[Place, Gathering]:
    values = {
        "customers": [each.customer for each in singles],
        "journeys": [each.journey for each in singles],
        "contacts": [each.contact for each in singles],
        "properties": [each.properties for each in singles],
    }
    found = await rows(connection, _Q.add, **values, since=now - _DAY, lock=GATHER_LOCK)
    return {
        (each["customer_id"], each["journey_id"]): Gathering(
            str(each["id"]), each["queued"], each["version"], each["guarded"]
        )
        for each in found
    }


async def add_admitted(connection: Connection, batch: str, singles: Sequence[Single]) -> None:
    """Store singles of a guarded journey that may enter it."""
    contacts, properties = [each.contact for each in singles], [each.properties for each in singles]
    await connection.execute(_Q.add_admitted, {"batch": batch, "contacts": contacts, "properties": properties})


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
