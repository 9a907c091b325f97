"""Why a batch waits, in words (`waitingFor`): nobody should have to guess, nor restart something to find out."""

from datetime import datetime

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.batches import Batch, BatchState, Source
from caravan.store.database import Connection, row

_Q = sql.load("caravan.store", "cohorts.sql")


async def waiting_for(connection: Connection, batch: Batch, now: datetime) -> str | None:
    """What the batch waits for; None while it moves and after it has ended."""
    if batch.ended:
        return None
    if batch.paused_at is not None:
        return f"a resume: paused since {_time(batch.paused_at)}"
    if batch.hindrance is not None:
        return batch.hindrance
    if batch.state == BatchState.AWAITING_UPLOAD and batch.expires_at is not None:
        return f"the file: PUT it to the uploadUrl before {_time(batch.expires_at)}"
    if batch.state == BatchState.RECEIVING:
        return "the rest of the download" if batch.source == Source.DOWNLOAD else "the rest of the upload"
    if batch.state == BatchState.RUNNING:
        return _cohort(await row(connection, _Q.next_due, batches=[batch.id]), now)
    return None


def _cohort(next_due: DictRow | None, now: datetime) -> str | None:
    if next_due is None or next_due["holder"] is not None:
        return None
    who = f"{next_due['contacts']:,} contacts at {next_due['step']}"
    if next_due["stuck_at"] is not None:
        return f"a retry by command: {who} are stuck since {_time(next_due['stuck_at'])}: {next_due['reason']}"
    if next_due["reason"] is not None:
        return f"the next attempt for {who}, {_time(next_due['due_at'])}: {next_due['reason']}"
    return f"the time of {who}, {_time(next_due['due_at'])}" if next_due["due_at"] > now else None


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
