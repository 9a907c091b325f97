"""Batches whose clients PUT their file into the store of files itself."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from caravan.store import sql
from caravan.store.batches import BatchState
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "batches.sql")
WAITING = (BatchState.AWAITING_UPLOAD, BatchState.RECEIVING)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A batch that awaits its file."""

    id: str
    expires_at: datetime


async def awaited(connection: Connection) -> list[Awaited]:
    """All batches that await a direct upload, in the order of their ids."""
    return [Awaited(**each) for each in await rows(connection, _Q.waiting_for_direct)]


async def note_hindrance(connection: Connection, hindrance: str | None) -> None:
    """Why none of them can be looked for just now; None: nothing hinders it any more."""
    await connection.execute(_Q.hinder_direct, {"hindrance": hindrance})


async def had_any(connection: Connection, after: datetime) -> bool:
    """Whether a batch that was made after a moment awaited a direct upload, and does so no longer."""
    found = await row(connection, _Q.had_direct, after=after)
    return bool(found and found["there"])


async def strays(connection: Connection, ids: Collection[str]) -> list[str]:
    """Those of the batches that are known here and await no file any more."""
    found = await rows(connection, _Q.not_waiting, ids=list(ids), waiting=list(WAITING))
    return [str(each["id"]) for each in found]
