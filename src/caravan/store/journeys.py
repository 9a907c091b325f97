"""Published journeys and their immutable versions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from caravan.errors import NotFound
from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "journeys.sql")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a journey, as it was published."""

    journey: int
    version: int
    definition: dict[str, Any]
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Published:
    """A line in the list of journeys; `version` is the newest."""

    journey: int
    version: int
    name: str
    published_at: datetime


async def publish(
    connection: Connection, customer: int, journey: int, name: str, definition: dict[str, Any], now: datetime
) -> int:
    """Publish a definition and return its version. The newest version once more makes no new one."""
    async with connection.transaction():
        who = {"customer": customer, "journey": journey}
        locked = await row(connection, _Q.lock_journey, name=name, **who)
        assert locked is not None
        newest, content = locked["version"], Jsonb(definition)
        known = await row(connection, _Q.same_definition, version=newest, definition=content, **who)
        if known and known["same"]:
            return int(newest)
        await connection.execute(_Q.add_version, {**who, "version": newest + 1, "definition": content, "now": now})
        await connection.execute(_Q.set_version, {**who, "version": newest + 1})
        return int(newest) + 1


async def share(connection: Connection, customer: int, journey: int) -> None:
    """Let nobody pause, resume or cancel the journey until the end of the transaction."""
    await connection.execute(_Q.share, {"customer": customer, "journey": journey})


async def is_published(connection: Connection, customer: int, journey: int) -> bool:
    """Whether the journey has a version."""
    found = await row(connection, _Q.is_published, customer=customer, journey=journey)
    return bool(found and found["there"])


async def latest(connection: Connection, customer: int, journey: int) -> Version:
    """The newest version. Raises `NotFound` that tells how to publish one."""
    found = await row(connection, _Q.latest, customer=customer, journey=journey)
    if found is None:
        raise not_published(customer, journey)
    return Version(**found)


def not_published(customer: int, journey: int) -> NotFound:
    """What to raise for a journey that has no version."""
    return NotFound(
        f"Customer {customer} has no journey {journey}; publish it with PUT /{customer}/journeys/{journey} "
        "or `caravan journeys apply`."
    )


async def get_version(connection: Connection, customer: int, journey: int, version: int) -> Version:
    """One version. Raises `NotFound`."""
    found = await row(connection, _Q.version, customer=customer, journey=journey, version=version)
    if found is None:
        raise NotFound(f"Journey {journey} has no version {version}.")
    return Version(**found)


async def list_journeys(connection: Connection, customer: int) -> list[Published]:
    """All journeys of a customer, by number."""
    return [Published(**each) for each in await rows(connection, _Q.journeys, customer=customer)]
