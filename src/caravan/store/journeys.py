"""Published journeys and their immutable versions."""

import json
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
    """A line in the list of journeys, where `version` is the newest, or in the list of a journey's versions."""

    journey: int
    version: int
    name: str
    published_at: datetime


async def publish(
    connection: Connection,
    customer: int,
    journey: int,
    name: str,
    definition: dict[str, Any],
    source: str,
    plain: bool,
    now: datetime,
) -> int:
    """Publish a definition, with the text that it was read from, and return its version. The newest version's own text
    once more makes no new one; nor does its definition, if the text is `plain`: has nothing else to keep."""
    async with connection.transaction():
        key = {"customer": customer, "journey": journey}
        locked = await row(connection, _Q.lock_journey, name=name, **key)
        assert locked is not None
        newest, content = locked["version"], {"definition": Jsonb(definition), "source": source}
        known = await row(connection, _Q.same_definition, version=newest, plain=plain, **content, **key)
        if known and known["same"]:
            return int(newest)
        await connection.execute(_Q.add_version, {**key, **content, "version": newest + 1, "now": now})
        await connection.execute(_Q.set_version, {**key, "version": newest + 1})
        return int(newest) + 1


async def share(connection: Connection, customer: int, journey: int) -> None:
    """Lock the journey against a pause, resume or cancel until the end of the transaction."""
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


async def source_of(connection: Connection, version: Version, customer: int) -> str:
    """The text of a version as it was written; its definition as JSON if it was published before texts were kept."""
    found = await row(connection, _Q.source, customer=customer, journey=version.journey, version=version.version)
    if found is None or found["source"] is None:
        return json.dumps(version.definition, indent=2, ensure_ascii=False) + "\n"
    return str(found["source"])


async def list_versions(connection: Connection, customer: int, journey: int) -> list[Published]:
    """All versions of a journey, newest first. Raises `NotFound` if there are none."""
    found = await rows(connection, _Q.versions, customer=customer, journey=journey)
    if not found:
        raise not_published(customer, journey)
    return [Published(**each) for each in found]


async def list_journeys(connection: Connection, customer: int) -> list[Published]:
    """All journeys of a customer, by number."""
    return [Published(**each) for each in await rows(connection, _Q.journeys, customer=customer)]


async def set_paused(connection: Connection, customer: int, journey: int, at: datetime | None) -> list[str]:
    """Pause a journey as of a moment, or with None no longer; its batches that have not ended, in the order of ids."""
    who = {"customer": customer, "journey": journey}
    await connection.execute(_Q.set_paused, {**who, "now": at})
    return [str(each["id"]) for each in await rows(connection, _Q.open_batches, **who)]
