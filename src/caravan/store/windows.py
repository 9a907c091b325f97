"""Windows: the few hundred contacts that a sender has in its hands at one moment (law 3).

A window's row is committed before anything of it is sent, and gets its record once everything of it is known.
A row without a record whose claim is void is what may or may not have been sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from caravan.store import sql
from caravan.store.batches import BatchState
from caravan.store.database import Connection, Pool, row, rows

_Q = sql.load("caravan.store", "cohorts.sql")

#: What happened to each contact at a step: the rows of a journal file.
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
#: The same in a window's record, where an outcome may still be `again`: to be tried after so many seconds, and in doubt
#: if an earlier try may have arrived.
RECORD = _STORED.append(pa.field("doubt", pa.bool_()))


class Verdict(StrEnum):
    """What a sender is told when it asks for the next window."""

    GO = "go"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    LOST = "lost"  # another worker has claimed the cohort
    TURN_OVER = "turn_over"  # other cohorts come first now


@dataclass(frozen=True, slots=True)
class Window:
    """Contacts `first` to `first + size` of a cohort's file; without a record they are in someone's hands."""

    first: int
    size: int
    claim: str  # who took it, or settled it for one who is gone
    record: pa.Table | None


def gaps(windows: list[Window], total: int, size: int, singly: int = 0) -> Iterator[tuple[int, int]]:
    """The stretches that no window covers yet, cut to windows: (first, size). The first contacts, as many as `singly`
    says, have a window each."""
    edge = 0
    for start, length in [*((each.first, each.size) for each in windows), (total, 0)]:
        while edge < start:
            step = min(size if singly <= 0 else 1, start - edge)
            singly -= step
            yield edge, step
            edge += step
        edge = start + length


class Windows:
    """The windows of one cohort, as its present claim gives them."""

    def __init__(self, pool: Pool, cohort: int, claim: str) -> None:
        self._pool = pool
        self._cohort = cohort
        self._claim = claim

    async def all(self) -> list[Window]:
        """All windows, in order."""
        async with self._pool.connection() as connection:
            found = await rows(connection, _Q.windows, cohort=self._cohort)
        return [
            Window(each["first"], each["size"], each["holder"], _read(each["record"], each["doubt"])) for each in found
        ]

    async def verdict(self) -> Verdict:
        """Whether this claim may go on."""
        async with self._pool.connection() as connection:
            return await self._ask(connection)

    async def take(self, first: int, size: int, now: datetime, settled: tuple[int, pa.Table] | None = None) -> Verdict:
        """Take the next window and settle the one before in one transaction.

        Unless the verdict is GO nothing is taken; what is settled is settled all the same. Where the database went
        away in the middle, the same call can be repeated.
        """
        async with self._pool.connection() as connection:
            if settled is not None:
                await self._settle(connection, *settled)
                await connection.execute(_Q.survived, {"cohort": self._cohort})
            verdict = await self._ask(connection)
            if verdict is Verdict.GO:
                values = {"cohort": self._cohort, "first": first, "size": size, "claim": self._claim}
                if await row(connection, _Q.take_window, **values, now=now) is None:
                    return Verdict.LOST
            return verdict

    async def settle(self, first: int, record: pa.Table) -> None:
        """Commit what happened to each contact of a window."""
        async with self._pool.connection() as connection:
            await self._settle(connection, first, record)
            await connection.execute(_Q.survived, {"cohort": self._cohort})

    async def end_turn(self, contacts: int) -> None:
        """Stand behind the contacts, so many, that this claim has sent to."""
        async with self._pool.connection() as connection:
            values = {"cohort": self._cohort, "claim": self._claim, "contacts": contacts}
            await connection.execute(_Q.end_turn, values)

    async def recover(self, first: int, record: pa.Table) -> None:
        """Settle a window that another worker left in the air."""
        async with self._pool.connection() as connection:
            values = {"cohort": self._cohort, "first": first, "claim": self._claim}
            await connection.execute(_Q.recover_window, values)
            await self._settle(connection, first, record)

    async def _settle(self, connection: Connection, first: int, record: pa.Table) -> None:
        values = {"cohort": self._cohort, "first": first, "claim": self._claim}
        doubt = pc.indices_nonzero(record["doubt"]).to_pylist() or None
        await connection.execute(_Q.settle_window, {**values, "record": _write(record), "doubt": doubt})

    async def _ask(self, connection: Connection) -> Verdict:
        found = await row(connection, _Q.standing_of_window, cohort=self._cohort)
        if found is None or found["holder"] != self._claim:
            return Verdict.LOST
        if found["state"] == BatchState.CANCELLED:
            return Verdict.CANCELLED
        if found["paused_at"] is not None or found["state"] != BatchState.RUNNING:
            return Verdict.PAUSED
        return Verdict.GO


async def records_of_batch(connection: Connection, batch: str, step: str | None) -> list[tuple[str, pa.Table]]:
    """Records that no journal file holds yet, because their cohorts are still being sent: (step, record)."""
    found = await rows(connection, sql.load("caravan.store", "ledger.sql").windows_of_batch, batch=batch, step=step)
    return [(each["step"], record) for each in found if (record := _read(each["record"], None)) is not None]


def _write(record: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _STORED, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(record.select(_STORED.names))  # an older version reads just these
    return bytes(sink.getvalue())


def _read(content: bytes | None, doubt: list[int] | None) -> pa.Table | None:
    if content is None:
        return None
    stored, places = pa.ipc.open_stream(content).read_all(), set(doubt or ())
    return stored.append_column(RECORD.field("doubt"), pa.array([i in places for i in range(stored.num_rows)]))
