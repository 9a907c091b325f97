"""The journal as it is asked for: what happened to each contact at each step, and where those are who still stand."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.engine.engine import Engine
from caravan.store import cohorts
from caravan.store import journal as journal_store
from caravan.store.cohorts import NEVER, StandingCohort
from caravan.store.database import snapshot
from caravan.store.files import Files
from caravan.store.journal import Entry

#: In place of an outcome, of those who have not left their step: they wait, or an attempt failed and another follows.
STANDING, RETRYING = "standing", "retrying"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines of the journal; None takes all."""

    step: str | None = None
    outcome: str | None = None
    contact: str | None = None

    @property
    def wants_standing(self) -> bool:
        """Whether those who still stand are asked for: all of them, or one contact wherever it is."""
        return self.outcome in (STANDING, RETRYING) or (self.outcome is None and self.contact is not None)

    @property
    def wants_journal(self) -> bool:
        """Whether outcomes are asked for."""
        return self.outcome not in (STANDING, RETRYING)


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
    filter: Filter = field(default_factory=Filter)


async def open_journal(engine: Engine, batch: str, wanted: Filter) -> Journal:
    """The journal as it is now: each contact's stay at a step is in it at most once."""
    async with snapshot(engine.pool) as connection:
        files = await journal_store.entries(connection, batch, wanted.step, wanted.outcome)
        windows = await journal_store.records_of_batch(connection, batch, wanted.step)
        standing = await cohorts.standing(connection, batch, wanted.step) if wanted.wants_standing else []
    return Journal(files if wanted.wants_journal else [], windows, standing, wanted)


def read_journal(store: Files, journal: Journal) -> Iterator[list[Line]]:
    """The lines that pass the filter, some thousand at a time. Blocks: run it in a thread."""
    for entry in journal.files:
        for table in journal_store.read_entry(store, entry):
            yield _lines(entry.step, table, journal.filter)
    if journal.filter.wants_journal:
        for step, table in journal.windows:
            yield _lines(step, table, journal.filter)
    for cohort in journal.standing:
        yield from _standing(store, journal, cohort)


def _standing(store: Files, journal: Journal, cohort: StandingCohort) -> Iterator[list[Line]]:
    """A line for each contact of an open cohort but those whose outcome is in a window already."""
    retrying = cohort.reason is not None and cohort.stuck_at is None and not cohort.stands
    outcome = RETRYING if retrying else STANDING
    if journal.filter.outcome not in (None, outcome):
        return
    left = {line for step, table in journal.windows if step == cohort.step for line in table["line"].to_pylist()}
    with store.local(cohort.file) as path, pq.ParquetFile(path) as file:
        for piece in file.iter_batches(8_192, columns=["line", "id"]):
            if journal.filter.contact is not None:
                piece = piece.filter(pc.equal(piece["id"], journal.filter.contact))
            pairs = zip(piece["id"].to_pylist(), piece["line"].to_pylist(), strict=True)
            yield [
                Line(contact, line, cohort.step, outcome, cohort.opened_at, _where(cohort))
                for contact, line in pairs
                if line not in left
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


def _lines(step: str, table: pa.Table, wanted: Filter) -> list[Line]:
    if wanted.outcome is not None:
        table = table.filter(pc.equal(table["outcome"], wanted.outcome))
    if wanted.contact is not None:
        table = table.filter(pc.equal(table["contact"], wanted.contact))
    columns = [table[name].to_pylist() for name in ("contact", "line", "outcome", "at", "detail")]
    return [
        Line(contact, line, step, outcome, at, detail or None)
        for contact, line, outcome, at, detail in zip(*columns, strict=True)
    ]
