"""The journal as it is asked for: what happened to each contact at each step, and where those are who still stand."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.engine.engine import Engine
from caravan.store import cohorts, listening
from caravan.store import journal as journal_store
from caravan.store.cohorts import NEVER, StandingCohort, may_hold
from caravan.store.database import snapshot
from caravan.store.files import Files
from caravan.store.journal import Entry

#: In place of an outcome, of those who have not left their step: they wait, or an attempt failed and another follows.
STANDING, RETRYING = "standing", "retrying"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines of the journal; None, or no outcome, takes all."""

    step: str | None = None
    outcomes: tuple[str, ...] = ()
    contact: str | None = None
    lines: frozenset[int] | None = None  # all that the contact has in the batch, where that is known

    @property
    def wants_standing(self) -> bool:
        """Whether those who still stand are asked for: all of them, or one contact wherever it is."""
        return bool({STANDING, RETRYING} & set(self.outcomes)) or (not self.outcomes and self.contact is not None)

    @property
    def wants_journal(self) -> bool:
        """Whether outcomes are asked for."""
        return not self.outcomes or not set(self.outcomes) <= {STANDING, RETRYING}


@dataclass(frozen=True, slots=True)
class Line:
    """One contact at one step."""

    contact: str
    line: int
    step: str
    outcome: str
    at: datetime
    detail: str | None


@dataclass(frozen=True, slots=True)
class Journal:
    """A batch's journal at one moment: files, and windows that no file holds yet."""

    files: list[Entry]
    windows: list[tuple[str, pa.Table]]  # (step, rows of JOURNAL)
    standing: list[StandingCohort]
    departed: Mapping[int, set[int]]  # who has left these cohorts: {cohort: rows of its file}
    filter: Filter = field(default_factory=Filter)

    def of(self, is_wanted: Callable[[str], bool], lines: frozenset[int] | None = None) -> "Journal":
        """What it tells of some steps; of these lines, where they are all that the contact has."""
        return Journal(
            [each for each in self.files if is_wanted(each.step)],
            [(step, table) for step, table in self.windows if is_wanted(step)],
            [each for each in self.standing if is_wanted(each.step)],
            self.departed,
            replace(self.filter, lines=lines),
        )


async def open_journal(engine: Engine, batch: str, wanted: Filter) -> Journal:
    """The journal as it is now: each contact's stay at a step is in it at most once."""
    async with snapshot(engine.pool) as connection:
        files = await journal_store.entries(connection, batch, wanted.step, wanted.outcomes)
        windows = await journal_store.windows_of_batch(connection, batch, wanted.step)
        standing = await cohorts.standing(connection, batch, wanted.step) if wanted.wants_standing else []
        departed = await listening.departed_of_batch(connection, batch) if standing else {}
    settled = await asyncio.to_thread(journal_store.read_settled, windows)
    return Journal(files if wanted.wants_journal else [], settled, standing, departed, wanted)


def read_journal(store: Files, journal: Journal) -> Iterator[list[Line]]:
    """The lines that pass the filter, some thousand at a time. Blocks: run it in a thread."""
    for step, table in read_tables(store, journal):
        yield lines_of(step, table)
    for cohort in journal.standing:
        yield from _standing(store, journal, cohort)


def read_tables(store: Files, journal: Journal) -> Iterator[tuple[str, pa.Table]]:
    """The outcomes that pass the filter, as rows of JOURNAL with their step, some thousand at a time. Blocks."""
    contact, lines = journal.filter.contact, journal.filter.lines
    for entry in journal.files:
        if contact is None:
            tables = journal_store.read_entry(store, entry)
        else:
            tables = journal_store.read_contact(store, entry, contact, lines)
        for table in tables:
            yield entry.step, _filtered(table, journal.filter)
    if journal.filter.wants_journal:
        for step, table in journal.windows:
            yield step, _filtered(table, journal.filter)


def _standing(store: Files, journal: Journal, cohort: StandingCohort) -> Iterator[list[Line]]:
    """A line for each contact of an open cohort but those whose outcome is in a window already."""
    retrying = cohort.reason is not None and cohort.stuck_at is None and not cohort.stands
    outcome = RETRYING if retrying else STANDING
    if journal.filter.outcomes and outcome not in journal.filter.outcomes:
        return
    if journal.filter.lines is not None and not any(may_hold(cohort.file, each) for each in journal.filter.lines):
        return
    gone, first = np.array(sorted(journal.departed.get(cohort.id, ())), np.int64), 0
    windows = [table["line"] for step, table in journal.windows if step == cohort.step]
    with store.local(cohort.file) as path, pq.ParquetFile(path) as file:
        for piece in file.iter_batches(8_192, columns=["line", "id"]):
            rows = np.arange(first, first + piece.num_rows)
            first += piece.num_rows
            if gone.size:
                piece = piece.filter(pa.array(~np.isin(rows, gone)))
            if journal.filter.contact is not None:
                piece = piece.filter(pc.equal(piece["id"], journal.filter.contact))
            if not piece.num_rows:
                continue
            for lines in windows:
                piece = piece.filter(pc.invert(pc.is_in(piece["line"], lines.combine_chunks())))
            pairs = zip(piece["id"].to_pylist(), piece["line"].to_pylist(), strict=True)
            yield [
                Line(contact, line, cohort.step, outcome, cohort.opened_at, _where(cohort)) for contact, line in pairs
            ]


def _where(cohort: StandingCohort) -> str:
    """What a standing cohort waits for, in words."""
    due = f"{cohort.due_at:%Y-%m-%d %H:%M:%S} UTC"
    if cohort.stuck_at is not None:
        return f"stuck since {cohort.stuck_at:%Y-%m-%d %H:%M:%S} UTC until a retry: {cohort.reason}"
    if cohort.stands:
        return f"until {due if cohort.due_at < NEVER else 'an event'}: {cohort.reason}"
    if cohort.reason is not None:
        tried = cohort.attempt - 1
        return f"{tried} attempt{'' if tried == 1 else 's'} so far, the next at {due}: {cohort.reason}"
    return "a worker has it" if cohort.claimed else f"due at {due}"


def _filtered(table: pa.Table, wanted: Filter) -> pa.Table:
    if wanted.outcomes:
        table = table.filter(pc.is_in(table["outcome"], pa.array(wanted.outcomes, pa.string())))
    if wanted.contact is not None:
        table = table.filter(pc.equal(table["contact"], wanted.contact))
    return table


def lines_of(step: str, table: pa.Table) -> list[Line]:
    """The lines that rows of JOURNAL are, of this step."""
    columns = [table[name].to_pylist() for name in ("contact", "line", "outcome", "at", "detail")]
    return [
        Line(contact, line, step, outcome, at, detail or None)
        for contact, line, outcome, at, detail in zip(*columns, strict=True)
    ]
