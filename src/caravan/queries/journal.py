"""Reading the journal: what happened to each contact at each step, streamed from its files."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg.rows import DictRow

from caravan.delivery.cohort_delivery import AGAIN
from caravan.engine.engine import Engine
from caravan.store import sql
from caravan.store.database import rows, snapshot
from caravan.store.files import Files
from caravan.store.windows import JOURNAL, records_of_batch

_Q = sql.load("caravan.store", "ledger.sql")
_ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines of the journal; None takes all."""

    step: str | None = None
    outcome: str | None = None
    contact: str | None = None


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
    return Journal(files, windows, wanted)


def read_journal(store: Files, journal: Journal) -> Iterator[list[Line]]:
    """The lines that pass the filter, some thousand at a time. Blocks: run it in a thread."""
    for entry in journal.files:
        with store.local(entry["file"]) as path, pq.ParquetFile(path) as file:
            columns = ["line", "id"] if entry["outcome"] is not None else JOURNAL.names
            for piece in file.iter_batches(8_192, columns=columns):
                table = pa.Table.from_batches([piece])
                yield _lines(entry["step"], _described(table, entry), journal.filter)
    for step, record in journal.windows:
        settled = record.filter(pc.not_equal(record["outcome"], AGAIN))
        yield _lines(step, settled.select(JOURNAL.names), journal.filter)


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
