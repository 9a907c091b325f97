"""Batches: one row each, and the state machine that docs/architecture.md draws."""

import secrets
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

from psycopg.rows import DictRow

from caravan.errors import NotFound
from caravan.store import journeys, sql
from caravan.store.database import Connection, row, rows
from caravan.store.spans import Receipt

_Q = sql.load("caravan.store", "batches.sql")
_EXPANDED = 10  # times a compressed file, about


class BatchState(StrEnum):
    """Where a batch is on its way. `paused` is shown in place of the state that it interrupts."""

    AWAITING_UPLOAD = "awaiting_upload"
    RECEIVING = "receiving"
    READING = "reading"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ENDED = frozenset({BatchState.COMPLETED, BatchState.FAILED, BatchState.CANCELLED, BatchState.EXPIRED})


class Starter(StrEnum):
    """The way in."""

    BATCH = "batch"
    SINGLE = "single"


class Source(StrEnum):
    """Where the file of a batch comes from."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    DIRECT = "direct"  # an upload that goes to the store itself
    RESTART = "restart"  # no file: contacts of another batch


@dataclass(frozen=True, slots=True)
class Choice:
    """Contacts of a batch: those that left a step, or any step, with an outcome, up to an entry of its journal."""

    batch: str
    outcome: str
    step: str | None
    upto: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as its row tells it; `state` is the state below a pause."""

    id: str
    customer_id: int
    journey_id: int
    version: int | None
    starter: str
    state: str
    paused_at: datetime | None
    created_at: datetime
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None
    error: str | None
    hindrance: str | None
    source: str | None
    download_url: str | None
    encoding: str | None
    file: str | None
    bytes: int | None
    sha256: str | None
    lines: int
    blank: int
    entered: int
    rejects: str | None
    freeze_waits: bool
    hold: bool  # once it is read, it is paused until it is resumed
    sends_until: datetime | None  # nothing of it is sent from then on
    forgotten_at: datetime | None
    restart_of: str | None
    restart_outcome: str | None
    restart_step: str | None
    restart_upto: int | None
    moved_from: str | None  # of whose contacts it consists, who waited there in an older version

    @property
    def restarts(self) -> Choice | None:
        """Whose contacts it starts again with, if it was not started with a file or with singles."""
        if self.restart_of is None:
            return None
        assert self.restart_outcome is not None
        assert self.restart_upto is not None
        return Choice(self.restart_of, self.restart_outcome, self.restart_step, self.restart_upto)

    @property
    def shown_state(self) -> BatchState:
        """The state that users see."""
        return BatchState.PAUSED if self.paused_at and not self.ended else BatchState(self.state)

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to this batch any more, but for a cancel still being carried out."""
        return self.state in ENDED

    @property
    def held(self) -> bool:
        """Whether it has been read whole and is held for review: no contact has moved."""
        return self.hold and self.state == BatchState.RUNNING

    @property
    def has_file(self) -> bool:
        """Whether its file has come; it may be deleted already."""
        return self.file is not None or self.sha256 is not None

    @property
    def folder(self) -> str:
        """Where its files are, in the store of files."""
        return f"batches/{self.id}"


_FIELDS = tuple(each.name for each in fields(Batch))


def read_batch(found: DictRow) -> Batch:
    """A batch from a row of its table."""
    return Batch(**{name: found[name] for name in _FIELDS})


def new_batch_id() -> str:
    """An id that can't be guessed."""
    return f"b_{secrets.token_hex(10)}"


async def add(
    connection: Connection,
    customer: int,
    journey: int,
    *,
    source: Source,
    now: datetime,
    expires: datetime | None = None,
    url: str | None = None,
    freeze_waits: bool = False,
    hold: bool = False,
    sends_until: datetime | None = None,
) -> Batch:
    """A new batch that waits for its file (upload) or is about to fetch it (download).

    Raises `NotFound` for a journey that is not published.
    """
    state = BatchState.RECEIVING if source is Source.DOWNLOAD else BatchState.AWAITING_UPLOAD
    made = await row(
        connection,
        _Q.add,
        id=new_batch_id(),
        customer=customer,
        journey=journey,
        state=state,
        now=now,
        expires=expires,
        source=source,
        url=url,
        freeze_waits=freeze_waits,
        hold=hold,
        sends_until=sends_until,
    )
    if made is None:
        raise journeys.not_published(customer, journey)
    return read_batch(made)


async def add_restart(
    connection: Connection,
    of: Batch,
    chosen: Choice,
    now: datetime,
    *,
    freeze_waits: bool,
    hold: bool,
    sends_until: datetime | None,
) -> Batch:
    """A new batch of contacts of `of`, in the newest version of the same journey, that is about to be read. Raises
    `NotFound` if the journey is not published."""
    values: dict[str, object] = {
        "of": chosen.batch,
        "outcome": chosen.outcome,
        "step": chosen.step,
        "upto": chosen.upto,
    }
    values |= {"customer": of.customer_id, "journey": of.journey_id, "freeze_waits": freeze_waits, "hold": hold}
    values |= {"sends_until": sends_until}
    made = await row(connection, _Q.add_restart, id=new_batch_id(), now=now, **values)
    if made is None:
        raise journeys.not_published(of.customer_id, of.journey_id)
    return read_batch(made)


async def being_restarted(connection: Connection, batch: str) -> bool:
    """Whether a new batch is just now being read out of this one's files."""
    found = await row(connection, _Q.being_restarted, id=batch)
    return bool(found and found["there"])


async def get(connection: Connection, batch: str) -> Batch:
    """Any customer's batch, for the engine. Raises `NotFound`."""
    return _found(await row(connection, _Q.batch, id=batch), batch)


async def of_customer(connection: Connection, customer: int, batch: str) -> Batch:
    """A batch of this customer. Raises `NotFound`, also for another customer's."""
    return _found(await row(connection, _Q.of_customer, id=batch, customer=customer), batch)


async def file_size(connection: Connection, batch: str) -> int:
    """How large the batch's file is, about, in bytes: a compressed one counts as expanded."""
    found = await get(connection, batch)
    return (found.bytes or 0) * (_EXPANDED if found.encoding else 1)


async def lock(connection: Connection, batch: str) -> Batch:
    """The batch, locked until the end of the transaction. Raises `NotFound`."""
    return _found(await row(connection, _Q.lock, id=batch), batch)


async def share(connection: Connection, batch: str) -> None:
    """Wait for whoever has the batch locked, and let others share it until the end of the transaction, but not lock
    it."""
    await connection.execute(_Q.share, {"id": batch})


async def shown(connection: Connection, customer: int, batch: str, now: datetime) -> DictRow:
    """All that is shown of a batch of this customer. Raises `NotFound`, also for another customer's."""
    found = await row(connection, _Q.shown, ids=[batch], customer=customer, now=now)
    if found is None:
        raise _missing(batch)
    return found


@dataclass(frozen=True, slots=True)
class Page:
    """Which batches of a customer are listed, newest first."""

    limit: int
    before: str | None = None  # the last batch of the page before
    states: tuple[BatchState, ...] = ()  # as they are shown; none takes all
    journey: int | None = None


async def page(connection: Connection, customer: int, wanted: Page, now: datetime) -> list[DictRow]:
    """All that is shown of a customer's batches, newest first."""
    values = {"limit": wanted.limit, "before": wanted.before, "journey": wanted.journey}
    listed = await rows(connection, _Q.page, customer=customer, states=list(wanted.states) or None, **values)
    ids = [each["id"] for each in listed]
    found = {each["id"]: each for each in await rows(connection, _Q.shown, ids=ids, customer=customer, now=now)}
    return [found[each] for each in ids]


async def with_contacts(connection: Connection, customer: int, limit: int) -> tuple[list[Batch], int]:
    """The newest batches of a customer whose contacts are kept, and how many there are in all."""
    found = await rows(connection, _Q.with_contacts, customer=customer, limit=limit)
    return [read_batch(each) for each in found], found[0]["total"] if found else 0


async def set_state(
    connection: Connection, batch: str, state: BatchState, before: tuple[BatchState, ...]
) -> Batch | None:
    """Go to `state` if the batch is in one of `before`; None if it is not."""
    found = await row(connection, _Q.set_state, id=batch, state=state, before=list(before))
    return read_batch(found) if found else None


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """The file of a batch, in the store of files."""

    file: str
    bytes: int
    sha256: str | None
    encoding: str | None


async def set_received(connection: Connection, batch: str, got: ReceivedFile, version: int, now: datetime) -> None:
    """The batch has its file and its version of the journey, and is to be read."""
    values = {"file": got.file, "bytes": got.bytes, "sha256": got.sha256, "encoding": got.encoding}
    await connection.execute(_Q.set_received, {"id": batch, **values, "version": version, "now": now})


async def set_read(connection: Connection, batch: str, read: Receipt) -> None:
    """What reading its file gave: the first lines of its ledger."""
    counts = {"lines": read.lines, "blank": read.blank, "entered": read.entered}
    await connection.execute(_Q.set_read, {"id": batch, **counts, "rejects": read.rejects})
    for code, contacts in read.rejected.items():
        await connection.execute(_Q.add_rejected, {"id": batch, "code": code, "contacts": contacts})


async def set_running(connection: Connection, batch: str, now: datetime) -> Batch:
    """Its contacts enter the journey; if it is to be held, it is paused from here on."""
    return _found(await row(connection, _Q.set_running, id=batch, now=now), batch)


async def note_failure(connection: Connection, batch: str, reason: str, *, transient: bool) -> int | None:
    """Work on its file failed: how often in a row for this same reason; None if the batch has ended. A transient
    failure counts none."""
    noted = await row(connection, _Q.set_hindrance, id=batch, hindrance=reason, around=transient)
    return noted["failures"] if noted else None


async def by_state(connection: Connection) -> dict[str, int]:
    """How many batches of all customers are in each state."""
    return {each["state"]: each["batches"] for each in await rows(connection, _Q.by_state)}


async def set_paused(connection: Connection, batch: str, at: datetime | None) -> None:
    """Pause the batch as of a moment; None resumes it."""
    await connection.execute(_Q.set_paused, {"id": batch, "now": at})


async def release_hold(connection: Connection, batch: str) -> None:
    """The batch is held for review no longer."""
    await connection.execute(_Q.release_hold, {"id": batch})


async def set_sha256(connection: Connection, batch: str, sha256: str) -> None:
    """Note what the batch's file was, where it was not known when the file came."""
    await connection.execute(_Q.set_digest, {"id": batch, "sha256": sha256})


async def note_hindrance(connection: Connection, batch: str, hindrance: str) -> None:
    """Something around the work stands in its way just now."""
    await connection.execute(_Q.set_hindrance, {"id": batch, "hindrance": hindrance, "around": True})


async def note_death(connection: Connection, batch: str) -> int:
    """A worker that worked on the whole batch died; how many did so in a row."""
    found = await row(connection, _Q.note_death, id=batch)
    return int(found["deaths"]) if found else 0


async def overdue_uploads(connection: Connection, now: datetime) -> list[str]:
    """The batches whose file should have come by now, in the order in which they may be locked."""
    return [each["id"] for each in await rows(connection, _Q.overdue_uploads, now=now)]


async def with_arrivals(connection: Connection) -> list[str]:
    """The batches for which singles wait to be gathered."""
    return [each["id"] for each in await rows(connection, _Q.with_arrivals)]


async def with_unread_file(connection: Connection) -> list[tuple[str, BatchState]]:
    """The batches whose file is to be fetched (`receiving`) or read (`reading`)."""
    return [(each["id"], BatchState(each["state"])) for each in await rows(connection, _Q.unread)]


async def reset_failures(connection: Connection, batch: str) -> None:
    """A part of the work on the batch's file is done, whatever hindered it before."""
    await connection.execute(_Q.reset_failures, {"id": batch})


async def clear_hindrance(connection: Connection, batch: str) -> None:
    """What stood in the way of the work, from outside, does so no more."""
    await connection.execute(_Q.clear_hindrance, {"id": batch})


async def end(
    connection: Connection,
    batch: str,
    state: BatchState,
    now: datetime,
    *,
    code: str | None = None,
    error: str | None = None,
) -> Batch:
    """The batch ends here."""
    ended = await row(connection, _Q.set_ended, id=batch, state=state, now=now, code=code, error=error)
    return _found(ended, batch)


def _found(found: DictRow | None, batch: str) -> Batch:
    if found is None:
        raise _missing(batch)
    return read_batch(found)


def _missing(batch: str) -> NotFound:
    return NotFound(f"There is no batch {batch!r} here.")
