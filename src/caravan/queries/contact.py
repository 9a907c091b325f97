"""One contact in all batches of a customer: each step at which it was, what happened there, and why it went on so."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import pyarrow.parquet as pq

from caravan.engine.engine import Engine
from caravan.engine.worker import open_duckdb
from caravan.errors import NotFound
from caravan.journeys.model import Journey
from caravan.queries.journal import Filter, Journal, Line, open_journal, read_journal
from caravan.steps.sort import SortStep
from caravan.steps.why import Why
from caravan.store import batches
from caravan.store.batches import Batch


@dataclass(frozen=True, slots=True)
class Stay:
    """The contact at one step."""

    step: str
    at: datetime
    outcome: str
    detail: str | None
    why: Why | None  # of steps that choose


@dataclass(frozen=True, slots=True)
class Entry:
    """The contact's way through one batch. One that entered several times by single start has several."""

    batch: Batch
    line: int
    properties: str | None  # a JSON object; None if no file that is kept has them
    stays: list[Stay]


@dataclass(frozen=True, slots=True)
class Contact:
    """What happened to one contact. Looked through were the newest `batches` of all `of` whose contacts are kept."""

    id: str
    entries: list[Entry]
    batches: int
    of: int


async def contact_history(engine: Engine, customer: int, contact: str, limit: int) -> Contact:
    """All entries of the contact in the `limit` newest batches, in order of time. Raises `NotFound` if none has it."""
    async with engine.pool.connection() as connection:
        found, total = await batches.with_contacts(connection, customer, limit)
    entries = [entry for batch in found for entry in await _entries(engine, batch, contact)]
    if not entries:
        raise NotFound(
            f"No contact {contact!r} entered any of the newest {len(found):,} batches of this customer, of {total:,} "
            "whose contacts are kept."
        )
    entries.sort(key=lambda each: (each.stays[0].at, each.batch.created_at, each.line))
    return Contact(contact, entries, len(found), total)


async def _entries(engine: Engine, batch: Batch, contact: str) -> list[Entry]:
    assert batch.version is not None
    async with engine.pool.connection() as connection:
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    # Each contact stands at the first step or has left it: the other steps are read only where it is there.
    first = await open_journal(engine, batch.id, Filter(step=journey.entry.id, contact=contact))
    try:
        if not await asyncio.to_thread(_lines, engine, first):
            return []
        journal = await open_journal(engine, batch.id, Filter(contact=contact))
        return await asyncio.to_thread(_read, engine, batch, journey, journal)
    except FileNotFoundError:  # forgotten meanwhile
        return []


def _lines(engine: Engine, journal: Journal) -> list[Line]:
    return [line for some in read_journal(engine.files, journal) for line in some]


def _read(engine: Engine, batch: Batch, journey: Journey, journal: Journal) -> list[Entry]:
    lines = sorted(_lines(engine, journal), key=lambda each: each.line)
    return [
        _entry(engine, batch, journey, journal, line, sorted(some, key=lambda each: each.at))
        for line, some in groupby(lines, key=lambda each: each.line)
    ]


def _entry(engine: Engine, batch: Batch, journey: Journey, journal: Journal, line: int, way: list[Line]) -> Entry:
    properties = _properties(engine, journal, way)
    stays = [
        Stay(each.step, each.at, each.outcome, each.detail, _why(engine, journey, each, properties)) for each in way
    ]
    return Entry(batch, line, properties, stays)


def _properties(engine: Engine, journal: Journal, way: list[Line]) -> str | None:
    """The contact's properties, from the first file of contacts that it is in. They never change in a batch."""
    places = {(each.step, each.at) for each in way}
    files = [each.file for each in journal.files if each.outcome is not None and (each.step, each.at) in places]
    files += [each.file for each in journal.standing if (each.step, each.opened_at) in places]
    for file in files:
        with engine.files.local(file) as path:
            found = pq.read_table(path, columns=["properties"], filters=[("line", "=", way[0].line)])
        if found.num_rows:
            return str(found["properties"][0].as_py())
    return None


def _why(engine: Engine, journey: Journey, line: Line, properties: str | None) -> Why | None:
    step = journey.step(line.step)
    if line.outcome != "passed" or properties is None or not isinstance(step, SortStep):
        return None
    with open_duckdb(engine.settings) as duck:
        return step.explain(line.contact, properties, duck, line.at)
