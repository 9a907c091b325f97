"""Dead letters: contacts whom a step could not reach, for good, and who can be sent to once more."""

from dataclasses import dataclass
from datetime import datetime

from caravan.store import sql
from caravan.store.cohorts import Part
from caravan.store.database import Connection, rows

_Q = sql.load("caravan.store", "dead_letters.sql")


@dataclass(frozen=True, slots=True)
class Letters:
    """Contacts that failed at a step together. Their file may say of each when and why."""

    id: int
    step: str
    visit: int
    part: Part
    reason: str | None
    at: datetime


async def add(
    connection: Connection, batch: str, step: str, visit: int, part: Part, reason: str | None, now: datetime
) -> None:
    """These contacts failed at the step. `reason` where their file does not say why."""
    values = {"batch": batch, "step": step, "visit": visit, "file": part.file, "size": part.size}
    await connection.execute(_Q.add, {**values, "reason": reason, "now": now})


async def of_batch(connection: Connection, batch: str, step: str | None) -> list[Letters]:
    """Those of a batch, or of one step of it, the oldest first."""
    found = await rows(connection, _Q.of_batch, batch=batch, step=step)
    return [Letters(part=Part(each.pop("file"), each.pop("size")), **each) for each in found]


async def delete(connection: Connection, letters: list[Letters]) -> None:
    """They are sent once more. The caller has the batch locked."""
    await connection.execute(_Q.delete, {"ids": [each.id for each in letters]})


async def take_back(connection: Connection, batch: str, step: str, contacts: int) -> None:
    """So many that left the step as failed stand at it again: the ledger stays balanced."""
    await connection.execute(_Q.take_back, {"batch": batch, "step": step, "contacts": contacts})


async def mark_replay(connection: Connection, cohort: int) -> None:
    """The contacts of this cohort have left its step before."""
    await connection.execute(_Q.mark_replay, {"cohort": cohort})


async def reopen(connection: Connection, batch: str) -> None:
    """A batch that was completed runs again."""
    await connection.execute(_Q.reopen, {"batch": batch})


async def forget(connection: Connection, batch: str) -> None:
    """Delete those of a batch."""
    await connection.execute(_Q.delete_of_batch, {"batch": batch})
