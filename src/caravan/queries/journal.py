"""The journal as it is asked for: what happened to each contact at each step, and where those are who still stand."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg.rows import DictRow

from caravan.delivery.cohort_delivery import AGAIN
from caravan.engine.engine import Engine
from caravan.store import cohorts, sql
from caravan.store.cohorts import Standing
from caravan.store.database import rows, snapshot
from caravan.store.files import Files
from caravan.store.windows import JOURNAL, records_of_batch

_Q = sql.load("caravan.store", "ledger.sql")
_ALL = 1 << 62


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

    files: list[DictRow]
    windows: list[tuple[str, pa.Table]]
    standing: list[Standing]
    filter: Filter = field(default_factory=Filter)


async def open_journal(engine: Engine, batch: str, wanted: Filter) -> Journal:
    """The journal as it is now: each contact's stay at a step is in it at most once."""
    async with snapshot(engine.pool) as connection:
        files = await rows(
            connection,
            _Q.journal,
            batch=batch,
            after=0,
            step=wanted.step,
            outcome=wanted.outcome,
            limit=_ALL,
        )
        windows = await records_of_batch(connection, batch, wanted.step)
        standing = await cohorts.standing(connection, batch, wanted.step) if wanted.wants_standing else []
    return Journal(files if wanted.wants_journal else [], windows, standing, wanted)


def read_journal(store: Files, journal: Journal) -> Iterator[list[Line]]:
    """The lines that pass the filter, some thousand at a time. Blocks: run it in a thread."""
    for entry in journal.files:
        with store.local(entry["file"]) as path, pq.ParquetFile(path) as file:
            columns = ["line", "id"] if entry["outcome"] is not None else JOURNAL.names
            for piece in file.iter_batches(8_192, columns=columns):
                table = pa.Table.from_batches([piece])
                yield _lines(entry["step"], _described(table, entry), journal.filter)
    yield from _settled(journal)
    for cohort in journal.standing:
        yield from _standing(store, journal, cohort)


def _settled(journal: Journal) -> Iterator[list[Line]]:
    """What is known of cohorts that are still being sent."""
    if not journal.filter.wants_journal:
        return
    for step, record in journal.windows:
        settled = record.filter(pc.not_equal(record["outcome"], AGAIN))
        yield _lines(step, settled.select(JOURNAL.names), journal.filter)


def _standing(store: Files, journal: Journal, cohort: Standing) -> Iterator[list[Line]]:
    """A line for each contact of an open cohort but those whose outcome is in a window already."""
    outcome = RETRYING if cohort.reason is not None and cohort.stuck_at is None else STANDING
    if journal.filter.outcome not in (None, outcome):
        return
    left = {
        line
        for step, record in journal.windows
        if step == cohort.step
        for line in record.filter(pc.not_equal(record["outcome"], AGAIN))["line"].to_pylist()
    }
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


def _where(cohort: Standing) -> str:
    """What a standing cohort waits for, in words."""
    due = f"{cohort.due_at:%Y-%m-%d %H:%M:%S} UTC"
    if cohort.stuck_at is not None:
        return f"stuck since {cohort.stuck_at:%Y-%m-%d %H:%M:%S} UTC until a retry: {cohort.reason}"
    if cohort.reason is not None:
        tried = cohort.attempt - 1
        return f"{tried} attempt{'' if tried == 1 else 's'} so far, the next at {due}: {cohort.reason}"
    return "a worker has it" if cohort.claimed else f"due at {due}"


def _described(table: pa.Table, entry: DictRow) -> pa.Table:
    """A cohort's contacts as journal lines: all of them met what the entry says."""
    if entry["outcome"] is None:
        return table
    count = table.num_rows
    columns = [
        table["line"],
        table["id"],
        pa.array([entry["outcome"]] * count, pa.string()),
        pa.array([entry["at"]] * count, JOURNAL.field("at").type),
        pa.array([entry["detail"]] * count, pa.string()),
    ]
    return pa.table(columns, schema=JOURNAL)


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
