"""The journal: what happened to each contact at each step. Its schema, its files, and its rows in PostgreSQL.

Where all contacts of a cohort met the same, an entry points at the cohort's own file and says what it was; where they
fared differently, as at a message step, a journal file says it of each. Until a cohort that is being sent has moved,
the records of its windows tell.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.store import sql
from caravan.store.cohorts import FORGOTTEN, may_hold
from caravan.store.database import Connection, row, rows
from caravan.store.files import Files
from caravan.store.ledger import Outcome

_Q = sql.load("caravan.store", "journal.sql")

#: The rows of a journal file.
JOURNAL = pa.schema(
    [
        ("line", pa.int64()),
        ("contact", pa.string()),
        ("outcome", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("detail", pa.string()),
    ]
)
#: Who left a step.
LEFT = pa.schema([JOURNAL.field("line"), JOURNAL.field("contact")])
_STORED = JOURNAL.append(pa.field("after", pa.float64()))
#: The same in a window's record, where a contact may still be at the step: `again` is to be tried once more, after so
#: many seconds if the other side asked for that, and in doubt if an earlier try may have arrived; `later` was not
#: tried, and stands for so many seconds from `at` on, or until an event. `saved` is a JSON object with new properties.
_SAVED = pa.field("saved", pa.string())
RECORD = _STORED.append(pa.field("doubt", pa.bool_())).append(_SAVED)
AGAIN, LATER = "again", "later"
_PIECE = 8_192  # rows that are read at once


@dataclass(frozen=True, slots=True)
class Record:
    """Journal entry for all contacts of a file: what they met, or None where the file itself says it."""

    step: str
    file: str
    outcome: Outcome | None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it stands in the journal."""

    id: int
    step: str
    file: str
    outcome: str | None
    at: datetime
    detail: str | None


async def add_records(connection: Connection, batch: str, records: list[Record], now: datetime) -> None:
    """Enter files into the journal."""
    for each in records:
        values = {"step": each.step, "file": each.file, "outcome": each.outcome, "detail": each.detail}
        await connection.execute(_Q.add_journal, {"batch": batch, "at": now, **values})


async def entries(connection: Connection, batch: str, step: str | None, outcomes: Collection[str]) -> list[Entry]:
    """The entries of a batch, or those that can hold this step and any of these outcomes; none takes all."""
    found = await rows(connection, _Q.journal, batch=batch, step=step, outcomes=list(outcomes) or None)
    return [Entry(**each) for each in found]


async def last(connection: Connection, batch: str) -> int:
    """The last entry of a batch, 0 if there is none. Where the caller has the batch locked, none before it is still to
    come: a move that adds entries has it locked too."""
    found = await row(connection, _Q.last, batch=batch)
    return (found["id"] if found else None) or 0


async def entries_after(connection: Connection, batch: str, last: int, limit: int) -> list[Entry]:
    """The first entries of a batch behind one of them, 0 being before all. What moves a batch has it locked, so none
    can come between those that were read."""
    return [Entry(**found) for found in await rows(connection, _Q.journal_after, batch=batch, last=last, limit=limit)]


async def windows_of_batch(connection: Connection, batch: str, step: str | None) -> list[tuple[str, bytes]]:
    """What no journal file holds yet, because its cohort is still being sent: (step, record of a window)."""
    found = await rows(connection, _Q.windows_of_batch, batch=batch, step=step)
    return [(str(each["step"]), bytes(each["record"])) for each in found]


def read_settled(windows: Iterable[tuple[str, bytes]]) -> list[tuple[str, pa.Table]]:
    """The rows that have left their step, as rows of JOURNAL; windows of a step that follow each other in one table.
    Blocks."""
    tables = []
    for step, some in groupby(windows, key=itemgetter(0)):
        records = [pa.ipc.open_stream(record).read_all().select(JOURNAL.names) for _, record in some]
        tables.append((step, settled(pa.concat_tables(records))))
    return tables


async def forget(connection: Connection, batch: str) -> None:
    """Delete the entries of a batch."""
    await connection.execute(_Q.delete_journal, {"batch": batch})


def read_entry(store: Files, entry: Entry) -> Iterator[pa.Table]:
    """What an entry tells, as rows of JOURNAL, some thousand at a time. Blocks."""
    with store.local(entry.file) as path, pq.ParquetFile(path) as file:
        for piece in file.iter_batches(_PIECE, columns=_columns(entry)):
            if piece.num_rows:
                yield _described(pa.Table.from_batches([piece]), entry)


def read_contact(store: Files, entry: Entry, contact: str, lines: Collection[int] | None = None) -> Iterator[pa.Table]:
    """What an entry tells of one contact, as rows of JOURNAL; of its `lines`, where these are known, which is a small
    part of the work. Blocks."""
    if lines is not None and not any(may_hold(entry.file, each) for each in lines):
        return
    columns = _columns(entry)
    id = columns[1]
    with store.local(entry.file) as path, pq.ParquetFile(path) as file:
        if lines is None:
            here = pc.equal(file.read([id])[id], contact)
        else:
            here = pc.is_in(file.read(["line"])["line"], pa.array(list(lines), pa.int64()))
        if pc.any(here).as_py():
            found = file.read(columns).filter(here)
            yield _described(found.filter(pc.equal(found[id], contact)), entry)


def _columns(entry: Entry) -> list[str]:
    """What is read of an entry's file: line, id, and what a file of the journal has besides."""
    return JOURNAL.names if entry.outcome is None else ["line", "id"]


def read_left(store: Files, entry: Entry, outcome: str) -> pa.Table:
    """The contacts (line, contact) that left with this outcome by an entry that can hold it, without those who were
    forgotten. Blocks."""
    with store.local(entry.file) as path:
        if entry.outcome is not None:
            found = pq.read_table(path, columns=["line", "id"]).rename_columns(LEFT.names)
        else:
            found = pq.read_table(path, columns=LEFT.names, filters=[("outcome", "=", outcome)]).select(LEFT.names)
    return found.cast(LEFT).filter(pc.not_equal(found["contact"], FORGOTTEN))


def _described(table: pa.Table, entry: Entry) -> pa.Table:
    """A cohort's contacts as rows of JOURNAL: all of them met what the entry says."""
    if entry.outcome is None:
        return table
    count = table.num_rows
    columns = [
        table["line"],
        table["id"],
        pa.array([entry.outcome] * count, pa.string()),
        pa.array([entry.at] * count, JOURNAL.field("at").type),
        pa.array([entry.detail] * count, pa.string()),
    ]
    return pa.table(columns, schema=JOURNAL)


def write_journal(table: pa.Table, path: Path) -> None:
    """Write rows of RECORD as a journal file. None of them may still be at the step."""
    pq.write_table(table.select(JOURNAL.names), path, compression="zstd", compression_level=1)


def settled(record: pa.Table) -> pa.Table:
    """The rows of a window's record that have left the step."""
    return record.filter(pc.invert(still_there(record)))


def still_there(record: pa.Table) -> pa.ChunkedArray:
    """Of each row of a window's record, whether the contact is still at the step."""
    return pc.is_in(record["outcome"], pa.array([AGAIN, LATER]))


def write_record(record: pa.Table) -> bytes:
    """A window's record as it is stored; which rows are in doubt is stored beside it."""
    sink = pa.BufferOutputStream()
    saves = record["saved"].null_count < record.num_rows
    schema = _STORED.append(_SAVED) if saves else _STORED  # what older versions read, which know no step that saves
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(record.select(schema.names))
    return bytes(sink.getvalue())


def read_record(content: bytes, doubt: list[int] | None) -> pa.Table:
    """A window's record, with the places of those in doubt."""
    stored, places = pa.ipc.open_stream(content).read_all(), set(doubt or ())
    found = stored.append_column(RECORD.field("doubt"), pa.array([i in places for i in range(stored.num_rows)]))
    if _SAVED.name not in stored.column_names:
        found = found.append_column(_SAVED, pa.nulls(stored.num_rows, _SAVED.type))
    return found.select(RECORD.names)
