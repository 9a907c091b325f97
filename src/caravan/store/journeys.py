"""Published journeys and their immutable versions."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from caravan.errors import Conflict, NotFound
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
class Standing:
    """So many contacts stand at a step of a version."""

    version: int
    step: str
    contacts: int


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
    base: int | None = None,
) -> int:
    """Publish a definition, with the text that it was read from, and return its version. The newest version's own text
    once more makes no new one; nor does its definition, if the text is `plain`: has nothing else to keep.

    Raises `Conflict` if the newest version is not `base`, where that is given: 0 for a journey without a version.
    """
    async with connection.transaction():
        key = {"customer": customer, "journey": journey}
        locked = await row(connection, _Q.lock_journey, name=name, **key)
        assert locked is not None
        newest = locked["version"]
        if base is not None:
            check_base(journey, newest, base)
        content = {"definition": Jsonb(definition), "source": source}
        known = await row(connection, _Q.same_definition, version=newest, plain=plain, **content, **key)
        if known and known["same"]:
            return int(newest)
        await connection.execute(_Q.add_version, {**key, **content, "version": newest + 1, "now": now})
        await connection.execute(_Q.set_version, {**key, "version": newest + 1, "guarded": "reentry" in definition})
        return int(newest) + 1


async def publish_alone(connection: Connection, customer: int) -> None:
    """Until the end of the transaction let nobody else publish a journey of the customer that enters others: two that
    would close a circle see each other."""
    await connection.execute(_Q.publish_alone, {"customer": customer})


def check_base(journey: int, newest: int, base: int) -> None:
    """Raise `Conflict` if a journey's newest version is another than the one that a text began with."""
    if newest != base:
        began = f"version {base}" if base else "a journey without a version"
        raise Conflict(
            f"Version {newest} of journey {journey} was published meanwhile. This text began with {began}, and nothing "
            "of it was published: take over what the newest version changed, and publish again."
        )


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


async def standing(connection: Connection, customer: int, journey: int) -> list[Standing]:
    """Who stands where, the newest version first."""
    return [Standing(**each) for each in await rows(connection, _Q.standing, customer=customer, journey=journey)]


async def before_entry(connection: Connection, customer: int, journey: int) -> dict[int | None, int]:
    """How many batches have contacts that have not entered yet, by version; None: those that wait for their file, and
    take the version that is the newest when it has come."""
    found = await rows(connection, _Q.before_entry, customer=customer, journey=journey)
    return {each["version"]: each["batches"] for each in found}


@dataclass(frozen=True, slots=True)
class Listed:
    """A journey with its newest version, and how many of its batches have not ended."""

    journey: int
    version: int
    name: str
    published_at: datetime
    paused_at: datetime | None
    batches: int


async def listed(connection: Connection, customer: int) -> list[Listed]:
    """All journeys of a customer with what they do just now, by number."""
    return [Listed(**each) for each in await rows(connection, _Q.listed, customer=customer, journey=None)]


async def one_listed(connection: Connection, customer: int, journey: int) -> Listed:
    """One of them. Raises `NotFound`."""
    found = await row(connection, _Q.listed, customer=customer, journey=journey)
    if found is None:
        raise not_published(customer, journey)
    return Listed(**found)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The batches of a journey that have not ended, summed up; `settled` are those standing whose outcome at their step
    is known already."""

    batches: int
    entered: int
    standing: int
    sent: int
    settled: int


async def under_way(connection: Connection, customer: int, journey: int) -> UnderWay:
    """What a pause or a recall of the journey would concern."""
    found = await row(connection, _Q.under_way, customer=customer, journey=journey)
    assert found is not None
    return UnderWay(**found)


async def publishers(connection: Connection, customer: int, journey: int) -> dict[int, str]:
    """Who published a version, as far as the audit log says it: {version: name}."""
    found = await rows(connection, _Q.publishers, customer=customer, subject=f"journey {journey}")
    return {int(each["version"]): str(each["name"]) for each in found}


async def set_paused(connection: Connection, customer: int, journey: int, at: datetime | None) -> list[str]:
    """Pause a journey as of a moment, or with None no longer; its batches that have not ended, in the order of ids."""
    who = {"customer": customer, "journey": journey}
    await connection.execute(_Q.set_paused, {**who, "now": at})
    return [str(each["id"]) for each in await rows(connection, _Q.open_batches, **who)]
