"""One contact in all batches of a customer: each step at which it was, what happened there, and why it went on so."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from threading import Lock
from typing import Self

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.engine import contact_index
from caravan.engine.engine import Engine
from caravan.engine.openings import hears, step_of
from caravan.engine.worker import open_duckdb
from caravan.errors import NotFound
from caravan.journeys.model import Journey
from caravan.queries.journal import STANDING, Filter, Journal, Line, open_journal, read_journal
from caravan.settings import Settings
from caravan.steps.event_counts import EventCounts
from caravan.steps.sort import SortStep
from caravan.steps.why import Why
from caravan.store import batches, cohorts, contact_filters
from caravan.store.batches import Batch, Starter
from caravan.store.cohorts import may_hold

_AT_ONCE = 4  # batches that are looked through at once: of a store that is far away, more would be waiting than work


@dataclass(frozen=True, slots=True)
class Stay:
    """The contact at one step."""

    step: str
    kind: str  # of the step, as journey files have it
    at: datetime
    outcome: str
    detail: str | None
    why: Why | None  # of steps that choose


@dataclass(frozen=True, slots=True)
class Entry:
    """The contact's way through one batch. One that entered several times by single start has several."""

    batch: Batch
    name: str  # of the journey's version
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
    """The same as `look_up`. Raises `NotFound` if no batch has the contact."""
    found = await look_up(engine, customer, contact, limit)
    if not found.entries:
        raise NotFound(where_it_is_not(found))
    return found


def where_it_is_not(found: Contact) -> str:
    """What was looked through for a contact that was not found."""
    if found.of == 0:
        return f"No contact {found.id!r}: this customer has no batch whose contacts are kept."
    if found.batches < found.of:
        looked = f"the newest {found.batches:,} batches of this customer, of {found.of:,} whose contacts are kept"
        return f"No contact {found.id!r} entered any of {looked}."
    if found.of == 1:
        return f"No contact {found.id!r} entered the only batch of this customer whose contacts are kept."
    return f"No contact {found.id!r} entered any of the {found.of:,} batches of this customer whose contacts are kept."


async def look_up(engine: Engine, customer: int, contact: str, limit: int) -> Contact:
    """All entries of the contact in the `limit` newest batches, in order of time; maybe none."""
    async with engine.pool.connection() as connection:
        found, total = await batches.with_contacts(connection, customer, limit)
    key = await asyncio.to_thread(_Key.of, contact)
    with closing(_Duck(engine.settings)) as duck:
        places = asyncio.Semaphore(_AT_ONCE)
        looked = await asyncio.gather(*(_entries(engine, batch, key, duck, places) for batch in found))
    return Contact(contact, _in_order([entry for some in looked for entry in some]), len(found), total)


def _in_order(entries: list[Entry]) -> list[Entry]:
    """By time; those that go on where another one was moved come behind that."""
    known = {(each.batch.id, each.line): each for each in entries}

    def place(entry: Entry) -> tuple[datetime, datetime, int, int]:
        moves = 0
        while (before := known.get((entry.batch.moved_from or "", entry.line))) is not None:
            entry, moves = before, moves + 1
        return entry.stays[0].at, entry.batch.created_at, entry.line, moves

    return sorted(entries, key=place)


@dataclass(frozen=True, slots=True)
class _Key:
    """A contact, as it is looked for."""

    contact: str
    family: str  # of the hash
    hashed: int

    @classmethod
    def of(cls, contact: str) -> Self:
        """Blocks."""
        return cls(contact, contact_index.family_of_hashes(), contact_index.hash_of(contact))


async def _entries(engine: Engine, batch: Batch, key: _Key, duck: "_Duck", places: asyncio.Semaphore) -> list[Entry]:
    async with places:
        try:
            return await _look_through(engine, batch, key, duck)
        except FileNotFoundError:  # forgotten meanwhile
            return []


async def _look_through(engine: Engine, batch: Batch, key: _Key, duck: "_Duck") -> list[Entry]:
    assert batch.version is not None
    async with engine.pool.connection() as connection:
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        # Singles come by many small files, of which some have no cohort: they are found by the journal.
        by_files = batch.starter != Starter.SINGLE or batch.moved_from is not None
        files = await contact_filters.entered(connection, batch.id, key.family, key.hashed) if by_files else None
    if files is None:
        lines = None
    else:
        lines = await asyncio.to_thread(_lines_in, engine, files, key.contact)
        if not lines:
            return []
    journal = await open_journal(engine, batch.id, Filter(contact=key.contact, lines=lines))
    entry = journey.entry.id
    if lines is None:
        # Each contact stands at the first step or has left it: the other steps are read only where it is there.
        found = await asyncio.to_thread(_lines, engine, journal.of(lambda step: step == entry))
        if not found:
            return []
        lines = frozenset(each.line for each in found)
        found += await asyncio.to_thread(_lines, engine, journal.of(lambda step: step != entry, lines))
    else:
        found = await asyncio.to_thread(_lines, engine, journal)
    async with engine.pool.connection() as connection:
        entered = await cohorts.entered_files(connection, batch.id, entry)
    reader = _Reader(engine, batch, journey, journal, entered, duck, EventCounts(engine.pool, batch.customer_id))
    return await asyncio.to_thread(reader.entries, found)


def _lines_in(engine: Engine, files: Sequence[str], contact: str) -> frozenset[int]:
    """The lines that a contact has in files of contacts. Blocks."""
    lines = set[int]()
    for file in files:
        with engine.files.local(file) as path, pq.ParquetFile(path) as opened:
            here = pc.equal(opened.read(["id"])["id"], contact)
            if pc.any(here).as_py():
                lines.update(opened.read(["line"])["line"].filter(here).to_pylist())
    return frozenset(lines)


def _lines(engine: Engine, journal: Journal) -> list[Line]:
    return [line for some in read_journal(engine.files, journal) for line in some]


class _Duck:
    """DuckDB, opened once it is needed, which takes a while: only steps that choose need it."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, Lock()
        self._opened: duckdb.DuckDBPyConnection | None = None

    def opened(self) -> duckdb.DuckDBPyConnection:
        """It; to be called from threads."""
        with self._lock:
            if self._opened is None:
                self._opened = open_duckdb(self._settings)
            return self._opened

    def close(self) -> None:
        """Close it if it is open."""
        if self._opened is not None:
            self._opened.close()


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one contact's way out of a batch's journal. All of it blocks."""

    engine: Engine
    batch: Batch
    journey: Journey
    journal: Journal
    entered: list[str]  # files of contacts as they entered
    duck: "_Duck"
    counts: EventCounts

    def entries(self, found: list[Line]) -> list[Entry]:
        """What the contact's lines of the journal make."""
        lines = sorted(found, key=lambda each: each.line)
        return [
            self._entry(line, sorted(some, key=lambda each: each.at))
            for line, some in groupby(lines, key=lambda each: each.line)
        ]

    def _entry(self, line: int, way: list[Line]) -> Entry:
        stays = [self._stay(each) for each in way]
        properties = self._properties(line, way) or self._entered_with(line)  # steps that send keep none on the way
        return Entry(self.batch, self.journey.name, line, properties, stays)

    def _stay(self, line: Line) -> Stay:
        kind = self.journey.step(line.step).kind
        return Stay(line.step, kind, line.at, line.outcome, self._detail(line), self._why(line))

    def _detail(self, line: Line) -> str | None:
        """What the journal says; of those who stand also the events that lead them on, or out of the journey."""
        if line.outcome != STANDING:
            return line.detail
        step = step_of(self.journey, line.step)
        told = [f"waits for {_any_of(step.listens)}"] if step.listens else []
        if hears(self.journey, step) and self.journey.exits.events:
            told.append(f"leaves the journey with {_any_of(self.journey.exits.events)}")
        return "; ".join([*told, *([line.detail] if line.detail else [])])

    def _properties(self, line: int, way: list[Line]) -> str | None:
        """The contact's properties, from the first file of contacts that it is in on this stretch of its way."""
        places, journal = {(each.step, each.at) for each in way}, self.journal
        files = [each.file for each in journal.files if each.outcome is not None and (each.step, each.at) in places]
        files += [each.file for each in journal.standing if (each.step, each.opened_at) in places]
        return next(filter(None, (self._in_file(each, line) for each in files)), None)

    def _entered_with(self, line: int) -> str | None:
        """The contact's properties as it entered."""
        with suppress(FileNotFoundError):
            files = (each for each in self.entered if may_hold(each, line))
            return next(filter(None, (self._in_file(each, line) for each in files)), None)
        return None

    def _in_file(self, file: str, line: int) -> str | None:
        with self.engine.files.local(file) as path:
            found = pq.read_table(path, columns=["properties"], filters=[("line", "=", line)])
        return str(found["properties"][0].as_py()) if found.num_rows else None

    def _why(self, line: Line) -> Why | None:
        """Why it went on from a step that chooses, by its properties there: an answer may have added some before."""
        step = self.journey.step(line.step)
        if line.outcome != "passed" or not isinstance(step, SortStep):
            return None
        properties = self._properties(line.line, [line])
        if properties is None:
            return None
        return step.explain(line.contact, properties, self.duck.opened(), line.at, self.counts)


def _any_of(events: Collection[str]) -> str:
    return " or ".join(sorted(events))
