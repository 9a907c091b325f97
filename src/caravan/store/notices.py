"""What an operator should know of: batches that failed, contacts that are stuck."""

from dataclasses import dataclass
from datetime import datetime

from caravan.store import sql
from caravan.store.database import Connection, rows

_Q = sql.load("caravan.store", "notices.sql")


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """A batch that failed."""

    id: str
    journey: int
    error: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class StuckContacts:
    """Contacts of a batch that are stuck at a step."""

    batch: str
    step: str
    contacts: int
    reason: str | None
    at: datetime


async def failed_batches(connection: Connection, since: datetime) -> list[FailedBatch]:
    """Those that failed after a moment."""
    return [FailedBatch(**each) for each in await rows(connection, _Q.failed, since=since)]


async def stuck_contacts(connection: Connection, since: datetime) -> list[StuckContacts]:
    """Those that got stuck after a moment."""
    return [StuckContacts(**each) for each in await rows(connection, _Q.stuck, since=since)]
