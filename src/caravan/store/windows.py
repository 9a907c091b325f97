"""Windows: the few hundred deliveries that a sender has in flight at one moment (guarantee 3).

A window's row is committed before anything of it is sent, and gets its record once everything of it is known.
A row without a record whose claim is void is what may or may not have been sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.batches import BatchState
from caravan.store.database import Connection, Pool, row, rows
from caravan.store.journal import read_record, write_record
from caravan.store.ledger import Outcome

_Q = sql.load("caravan.store", "cohorts.sql")


class Verdict(StrEnum):
    """What a sender is told when it asks for the next window."""

    GO = "go"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    LOST = "lost"  # another worker has claimed the cohort
    TURN_OVER = "turn_over"  # other cohorts come first now
    PACED = "paced"  # the channel's pace is used up; the cohort stands until there are slots again


@dataclass(frozen=True, slots=True)
class Window:
    """Contacts `first` to `first + size` of a cohort's file; without a record they are in flight."""

    first: int
    size: int
    claim: str  # under which it was taken, or settled after that claim was void
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
        return [_window(each) for each in found]

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
        """Settle a window that another worker left in flight."""
        async with self._pool.connection() as connection:
            values = {"cohort": self._cohort, "first": first, "claim": self._claim}
            await connection.execute(_Q.recover_window, values)
            await self._settle(connection, first, record)

    async def _settle(self, connection: Connection, first: int, record: pa.Table) -> None:
        values: dict[str, object] = {"cohort": self._cohort, "first": first, "claim": self._claim}
        doubt = pc.indices_nonzero(record["doubt"]).to_pylist() or None
        values |= {"record": write_record(record), "doubt": doubt, "unsent": _unsent(record)}
        await connection.execute(_Q.settle_window, values)

    async def _ask(self, connection: Connection) -> Verdict:
        found = await row(connection, _Q.standing_of_window, cohort=self._cohort)
        if found is None or found["holder"] != self._claim:
            return Verdict.LOST
        if found["state"] == BatchState.CANCELLED:
            return Verdict.CANCELLED
        if found["paused_at"] is not None or found["state"] != BatchState.RUNNING:
            return Verdict.PAUSED
        return Verdict.GO


def _unsent(record: pa.Table) -> list[int]:
    """The lines of those whom certainly nothing has reached."""
    reached = pc.is_in(record["outcome"], pa.array([Outcome.SENT, Outcome.UNKNOWN], pa.string()))
    lines: list[int] = record["line"].filter(pc.invert(pc.or_(reached, record["doubt"]))).to_pylist()
    return lines


def _window(found: DictRow) -> Window:
    record = None if found["record"] is None else read_record(found["record"], found["doubt"])
    return Window(found["first"], found["size"], found["holder"], record)
