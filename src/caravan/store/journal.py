"""The journal: what happened to each contact at each step. Its schema, its files, and its rows in PostgreSQL.

Where all contacts of a cohort met the same, an entry points at the cohort's own file and says what it was; where they
fared differently, as at a message step, a journal file says it of each. Until a cohort that is being sent has moved,
the records of its windows tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.store import sql
from caravan.store.database import Connection, rows
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
_STORED = JOURNAL.append(pa.field("after", pa.float64()))
#: The same in a window's record, where a contact may still be at the step: `again` is to be tried once more, after so
#: many seconds if the other side asked for that, and in doubt if an earlier try may have arrived; `later` was not
#: tried, and stands for so many seconds from `at` on, or until an event.
RECORD = _STORED.append(pa.field("doubt", pa.bool_()))
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


async def entries(connection: Connection, batch: str, step: str | None, outcome: str | None) -> list[Entry]:
    """The entries of a batch, or those that can hold this step and this outcome."""
    return [Entry(**found) for found in await rows(connection, _Q.journal, batch=batch, step=step, outcome=outcome)]


async def records_of_batch(connection: Connection, batch: str, step: str | None) -> list[tuple[str, pa.Table]]:
    """What no journal file holds yet, because its cohort is still being sent: (step, rows of JOURNAL)."""
    found = await rows(connection, _Q.windows_of_batch, batch=batch, step=step)
    return [(each["step"], settled(read_record(each["record"], None)).select(JOURNAL.names)) for each in found]


async def forget(connection: Connection, batch: str) -> None:
    """Delete the entries of a batch."""
    await connection.execute(_Q.delete_journal, {"batch": batch})


def read_entry(store: Files, entry: Entry) -> Iterator[pa.Table]:
    """What an entry tells, as rows of JOURNAL, some thousand at a time. Blocks."""
    columns = ["line", "id"] if entry.outcome is not None else JOURNAL.names
    with store.local(entry.file) as path, pq.ParquetFile(path) as file:
        for piece in file.iter_batches(_PIECE, columns=columns):
            yield _described(pa.Table.from_batches([piece]), entry)


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
    with pa.ipc.new_stream(sink, _STORED, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(record.select(_STORED.names))  # an older version reads just these
    return bytes(sink.getvalue())


def read_record(content: bytes, doubt: list[int] | None) -> pa.Table:
    """A window's record, with the places of those in doubt."""
    stored, places = pa.ipc.open_stream(content).read_all(), set(doubt or ())
    return stored.append_column(RECORD.field("doubt"), pa.array([i in places for i in range(stored.num_rows)]))
