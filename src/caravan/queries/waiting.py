"""Why a batch waits, in words (`waitingFor`): nobody should have to guess, nor restart something to find out."""

from datetime import datetime

from psycopg.rows import DictRow

from caravan.store.batches import Batch, BatchState, Source


def waiting_for(batch: Batch, found: DictRow, now: datetime) -> str | None:
    """What the batch waits for, by its row of the query `shown`; None while it moves and after it has ended, but for a
    cancel that can't be carried out."""
    if batch.state == BatchState.CANCELLED:
        return _all([_cohort(found, now), _stuck(found), _singles(found)])
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
        return _all([_cohort(found, now), _stuck(found)]) or _to_gather(found)
    return None


def _all(sentences: list[str | None]) -> str | None:
    return "; ".join(filter(None, sentences)) or None


def _cohort(found: DictRow, now: datetime) -> str | None:
    if found["next_step"] is None or found["next_holder"] is not None or found["next_stuck_at"] is not None:
        return None
    who = f"{found['next_contacts']:,} contacts at {found['next_step']}"
    due, reason = found["next_due_at"], found["next_reason"]
    if reason is not None:
        return f"the next attempt for {who}{f', {_time(due)}' if due > now else ''}: {reason}"
    return f"the time of {who}, {_time(due)}" if due > now else None


def _stuck(found: DictRow) -> str | None:
    if found["stuck_step"] is None:
        return None
    who = f"{found['stuck_contacts']:,} contacts at {found['stuck_step']}"
    return f"a retry by command: {who} are stuck since {_time(found['stuck_at'])}: {found['stuck_reason']}"


def _singles(found: DictRow) -> str | None:
    return "singles that are still to be noted as cancelled" if found["arrivals"] else None


def _to_gather(found: DictRow) -> str | None:
    return "a worker that gathers its singles" if found["arrivals"] and found["next_step"] is None else None


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
