"""Batches that take the contacts which enter a journey by a step of another one. They are like those of singles, but
for the files: their contacts come by the cohort, with lines that were numbered before."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from caravan.store import batches, journeys, sql
from caravan.store.arrivals import Place
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "crossings.sql")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Target:
    """The batch that takes contacts of a journey's newest version."""

    place: Place
    version: int
    batch: str
    guarded: bool  # the journey does not let everybody in again


async def find(connection: Connection, place: Place, now: datetime) -> Target:
    """The batch that takes contacts of a journey now; it is opened if there is none, in the caller's transaction, which
    has no other batch locked. It is one of the last day: if it went on for ever, it would never end, and its contacts
    never be forgotten. Raises `NotFound` if the journey is not published."""
    customer, journey = place
    values = {"customer": customer, "journey": journey, "since": now - _DAY}
    while True:
        found = await row(connection, _Q.newest, **values)
        if found is None:
            raise journeys.not_published(customer, journey)
        if found["batch"] is not None:
            return Target(place, found["version"], found["batch"], found["guarded"])
        async with connection.transaction():
            await journeys.share(connection, customer, journey)  # before its batches, as a pause of it does
            values |= {"id": batches.new_batch_id(), "version": found["version"], "now": now}
            await connection.execute(_Q.stop, values)
            await connection.execute(_Q.open, values)


async def number(connection: Connection, batch: str, count: int) -> int:
    """The first of so many lines of the batch, one after the other, that nobody else is given."""
    found = await row(connection, _Q.number, id=batch, count=count)
    return found["first"] if found else 1


async def unused(connection: Connection, before: datetime) -> list[str]:
    """Batches that were opened until then, for those who cross or who move into a newer version, and that nobody
    entered; in the order in which they may be locked."""
    return [each["id"] for each in await rows(connection, _Q.unused, before=before)]
