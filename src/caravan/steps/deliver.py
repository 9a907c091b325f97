"""Send something to each contact of a cohort, window by window (law 3). Email and webhook steps share it."""

import asyncio
import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.channels.channel import Channel
from caravan.channels.result import Delivery, Result
from caravan.errors import RenderFailed
from caravan.journeys.fields import OnUnknown
from caravan.journeys.placeholders import ContactView
from caravan.steps.lease import HeldBack, Lease
from caravan.steps.move import Move, Passage, Stay, Tools
from caravan.steps.parts import file_name, scratch_file, write_part
from caravan.steps.share import share_out
from caravan.steps.trace import Mark, Trace, drop_trace, read_trace
from caravan.store.batches import clear_hindrance, note_hindrance
from caravan.store.cohorts import Cohort, Part, read_contacts, slices
from caravan.store.database import AWAY
from caravan.store.files import Draft
from caravan.store.ledger import Outcome, Record
from caravan.store.windows import JOURNAL, RECORD, Verdict, Window, Windows

AGAIN = "again"  # in a window's record: this contact is to be tried once more
_LONGEST_DELAY = 6 * 3600.0
_OUTAGE_DELAY, _LONGEST_OUTAGE_DELAY = 5.0, 300.0  # a relay that is back should not be left alone for hours
_ASK_EVERY = 0.3  # seconds between two looks whether the batch was paused or cancelled; well within a lease
_LONGEST_ASK = 8.0  # seconds between two tries to note what was sent, while the database does not take it
_WARY_FROM = 2  # deaths; who killed is among the first that were to be sent to, and is to kill none of the others
_NO_RESOURCES = "53"  # PostgreSQL's class of errors for a full disk and the like

Message = TypeVar("Message")
Answer = TypeVar("Answer")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fate:
    """What came of one contact of a window."""

    outcome: str
    detail: str
    at: datetime
    after: float | None = None  # with `again`: seconds that the other side asked for
    outage: bool = False  # with `again`: not this contact, but the channel is in trouble
    doubt: bool = False  # with `again`: this try, or an earlier one, may have arrived


@dataclass(frozen=True, slots=True)
class Errand(Generic[Message]):
    """One cohort's delivery: how to make a contact's message, and what sends it."""

    cohort: Cohort
    tools: Tools
    channel: Channel[Message]
    prepare: Callable[[dict[str, Any]], Message]  # a row of CONTACTS; may raise RenderFailed
    on_unknown: OnUnknown
    to: str | None
    one_place: bool = True  # all messages go to the same relay or host, so that one can be away for all of them

    @property
    def holder(self) -> str:
        """Whose hands the cohort is in: ours."""
        assert self.cohort.holder is not None
        return self.cohort.holder

    @property
    def windows(self) -> Windows:
        return Windows(self.tools.pool, self.cohort.id, self.holder)


def view(person: dict[str, Any]) -> ContactView:
    """A row of CONTACTS as templates see it."""
    return ContactView(person["id"], json.loads(person["properties"]))


async def deliver(errand: Errand[Message]) -> Move | None:
    """Send to everyone in the cohort who is still to be sent to; None if that has to go on later."""
    contacts = await asyncio.to_thread(_read, errand)
    if not await errand.windows.all() and (shares := await share_out(errand.cohort, contacts, errand.tools)):
        return shares
    await _inherit(errand, contacts)
    verdict, trouble = await _send_windows(errand, contacts)
    if verdict in (Verdict.PAUSED, Verdict.LOST):
        return None
    fates = _fates(errand, contacts, await errand.windows.all(), verdict, trouble)
    return await asyncio.to_thread(_conclude, errand, contacts, fates)


def _read(errand: Errand[Message]) -> pa.Table:
    with errand.tools.files.local(errand.cohort.part.file) as path:
        return read_contacts(path)


async def _inherit(errand: Errand[Message], contacts: pa.Table) -> None:
    """Settle what an earlier holder left in the air: nothing of it is sent again blindly."""
    if all(window.record is not None for window in await errand.windows.all()):
        return
    # The earlier holder may be alive, and only have been silent for too long. Its lease runs out meanwhile; twice as
    # long, because its clock is another one.
    await asyncio.sleep(2 * errand.tools.pacing.lease)
    for window in await errand.windows.all():
        if window.record is not None:
            continue
        marks = read_trace(errand.tools.traces, window.holder, window.first, window.size)
        now = errand.tools.clock.now()
        fates = [_fate_of_mark(mark, errand.on_unknown, now) for mark in marks or [Mark.UNDER_WAY] * window.size]
        await errand.windows.inherit(window.first, _record(errand, contacts, window.first, fates))
        drop_trace(errand.tools.traces, window.holder, window.first)


def _fate_of_mark(mark: Mark, on_unknown: OnUnknown, now: datetime) -> Fate:
    match mark:
        case Mark.SENT:
            return Fate(Outcome.SENT, "accepted just before the sender stopped", now)
        case Mark.FAILED:
            return Fate(Outcome.FAILED, "refused just before the sender stopped", now)
        case Mark.UNDER_WAY if on_unknown is OnUnknown.SKIP:
            return Fate(Outcome.UNKNOWN, "the sender stopped while this was under way", now)
        case Mark.UNDER_WAY:
            return Fate(AGAIN, "the sender stopped while this was under way", now, after=0, doubt=True)
        case _:
            return Fate(AGAIN, "the sender stopped before this was sent", now, after=0)


async def _send_windows(errand: Errand[Message], contacts: pa.Table) -> tuple[Verdict, str]:
    """Send window after window until all is done (GO) or something stops it; with the channel's trouble, if any."""
    settled: tuple[int, pa.Table] | None = None
    verdict, trouble = Verdict.GO, ""
    most = errand.tools.pacing.window_size
    singly = most if errand.cohort.deaths >= _WARY_FROM else 0
    for first, size in _gaps(await errand.windows.all(), contacts.num_rows, most, singly):
        lease = Lease(errand.tools.pacing.lease)
        # Before the window is taken: a kill between the two would else leave all of it unknown.
        try:
            trace = Trace(errand.tools.traces, errand.holder, first, size)
        except OSError:  # a full disk; what was sent before is noted all the same
            if settled is not None:
                await _settle(errand, *settled)
            raise
        take = partial(errand.windows.take, first, size, errand.tools.clock.now(), settled)
        verdict = await _insist(errand, take)
        if settled is not None:
            drop_trace(errand.tools.traces, errand.holder, settled[0])
            settled = None
        if verdict is not Verdict.GO:
            trace.close()
            drop_trace(errand.tools.traces, errand.holder, first)
            break
        fates = await _send_window(errand, contacts, first, size, lease, trace)
        settled = (first, _record(errand, contacts, first, fates))
        trouble = _trouble(fates)
        if trouble or errand.tools.stopping.is_set():
            break
    if settled is not None:
        await _settle(errand, *settled)
    if verdict is Verdict.GO:
        verdict = await errand.windows.verdict()
    if verdict is Verdict.GO and errand.tools.stopping.is_set():
        verdict = Verdict.PAUSED
    return verdict, trouble


async def _settle(errand: Errand[Message], first: int, record: pa.Table) -> None:
    """Commit what became of a window."""
    await _insist(errand, partial(errand.windows.settle, first, record))
    drop_trace(errand.tools.traces, errand.holder, first)


async def _insist(errand: Errand[Message], ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask with growing delay until the database answers: what became of a window is known here, and nowhere else as
    surely. A worker that stops can't wait; its trace tells then."""
    delay = _ASK_EVERY
    while True:
        try:
            answer = await ask()
            break
        except AWAY as error:
            if errand.tools.stopping.is_set():
                raise
            await _complain(errand, error)
        with suppress(TimeoutError):
            await asyncio.wait_for(errand.tools.stopping.wait(), delay)
        delay = min(2 * delay, _LONGEST_ASK)
    if delay > _ASK_EVERY:
        await _note_hindrance(errand, None)
    return answer


async def _complain(errand: Errand[Message], error: psycopg.Error) -> None:
    """Say why the sender waits: in the log, and on the batch if the database takes that little."""
    words = " ".join(str(error).split())
    _log.warning("A window of cohort %d waits for the database: %s", errand.cohort.id, words)
    if (error.sqlstate or "").startswith(_NO_RESOURCES):
        why = (error.diag.message_primary or words).rpartition(": ")[2]  # before it stands a file of PostgreSQL's
        await _note_hindrance(errand, f"PostgreSQL can't note what was sent, and is asked again and again: {why}.")


async def _note_hindrance(errand: Errand[Message], hindrance: str | None) -> None:
    with suppress(*AWAY):
        async with errand.tools.pool.connection() as connection:
            if hindrance is None:
                await clear_hindrance(connection, errand.cohort.batch)
            else:
                await note_hindrance(connection, errand.cohort.batch, hindrance)


def _gaps(windows: list[Window], total: int, size: int, singly: int = 0) -> Iterator[tuple[int, int]]:
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


def _trouble(fates: list[Fate]) -> str:
    """The channel's trouble if nobody in the window could be tried, else nothing."""
    return fates[0].detail if all(fate.outage for fate in fates) else ""


async def _send_window(
    errand: Errand[Message], contacts: pa.Table, first: int, size: int, lease: Lease, trace: Trace
) -> list[Fate]:
    async with _watching(errand, lease):
        # In a thread: a template that takes its time must not hold up the others' sends.
        messages = await asyncio.to_thread(_prepare, errand, list(slices(contacts, first, size)), lease)
        fates = await asyncio.gather(*(_send(errand, each, trace, i, lease) for i, each in enumerate(messages)))
    trace.close()
    return fates


def _prepare(errand: Errand[Message], people: list[dict[str, Any]], lease: Lease) -> list[Message | Fate]:
    """Everyone's message, or their fate where there is none to send."""
    messages: list[Message | Fate] = []
    for person in people:
        message = _message(errand, person, lease)
        messages.append(message)
    return messages


def _message(errand: Errand[Message], person: dict[str, Any], lease: Lease) -> Message | Fate:
    if lease.halted:
        return _held_back(errand)
    try:
        return errand.prepare(person)
    except RenderFailed as error:
        return Fate(Outcome.FAILED, error.message, errand.tools.clock.now())


def _held_back(errand: Errand[Message]) -> Fate:
    return Fate(AGAIN, "held back before this was sent", errand.tools.clock.now(), after=0)


@asynccontextmanager
async def _watching(errand: Errand[Message], lease: Lease) -> AsyncIterator[None]:
    """Renew the lease, and halt as soon as the batch is paused or cancelled, or the worker stops."""

    async def watch() -> None:
        try:
            while not errand.tools.stopping.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(errand.tools.stopping.wait(), _ASK_EVERY)
                if not await _renew(errand, lease):
                    break
        finally:
            lease.halt()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


async def _renew(errand: Errand[Message], lease: Lease) -> bool:
    """Renew the lease; False if that is refused. While the database is away it runs out, and is renewed later."""
    asked = time.monotonic()
    with suppress(*AWAY):
        if await errand.windows.verdict() is not Verdict.GO:
            return False
        lease.renew(asked)
    return True


async def _send(errand: Errand[Message], message: Message | Fate, trace: Trace, index: int, lease: Lease) -> Fate:
    if isinstance(message, Fate):
        return message
    if not await lease.wait():
        return _held_back(errand)

    def under_way() -> None:
        trace.mark(index, Mark.UNDER_WAY)  # first: who stands still after the check is at worst unknown
        lease.check()

    try:
        delivery = await errand.channel.send(message, under_way)
    except HeldBack:
        trace.mark(index, Mark.AGAIN)
        return _held_back(errand)
    fate = _fate(delivery, errand, errand.tools.clock.now())
    trace.mark(index, Mark.UNDER_WAY if fate.doubt else _MARKS.get(fate.outcome, Mark.FAILED))
    return fate


_MARKS = {Outcome.SENT: Mark.SENT, Outcome.UNKNOWN: Mark.UNDER_WAY, AGAIN: Mark.AGAIN}
_OUTCOMES = {
    Result.SENT: Outcome.SENT,
    Result.FAILED: Outcome.FAILED,
    Result.UNSUPPORTED: Outcome.UNSUPPORTED_ADDRESS,
    Result.UNKNOWN: Outcome.UNKNOWN,
}


def _fate(delivery: Delivery, errand: Errand[Message], now: datetime) -> Fate:
    result = delivery.result
    resend = result is Result.UNKNOWN and errand.on_unknown is OnUnknown.RESEND
    if result in _OUTCOMES and not resend:
        return Fate(_OUTCOMES[result], delivery.detail, now)
    if _exhausted(errand, now):
        given_up = f"given up after {errand.cohort.attempt} attempts: {delivery.detail}"
        return Fate(Outcome.UNKNOWN if resend else Outcome.FAILED, given_up, now)
    if result is Result.UNREACHABLE and errand.one_place:
        return Fate(AGAIN, delivery.detail, now, _outage_delay(errand), outage=True)
    return Fate(AGAIN, delivery.detail, now, delivery.retry_after, doubt=resend)


def _in_doubt(fate: Fate) -> Fate:
    """The fate of a contact whom an earlier try may have reached: that this one failed does not make it untrue."""
    if fate.outcome in (Outcome.SENT, Outcome.UNKNOWN):
        return fate
    if fate.outcome == AGAIN:
        return replace(fate, doubt=True)
    detail = "; ".join(filter(None, ["an earlier attempt may have arrived", fate.detail]))
    return replace(fate, outcome=Outcome.UNKNOWN, detail=detail)


def _outage_delay(errand: Errand[Message]) -> float:
    return min(_OUTAGE_DELAY * 2.0 ** min(errand.cohort.attempt - 1, 16), _LONGEST_OUTAGE_DELAY)


def _exhausted(errand: Errand[Message], now: datetime) -> bool:
    since = errand.cohort.first_tried_at
    return since is not None and now - since >= timedelta(hours=errand.tools.pacing.retry_hours)


def _record(errand: Errand[Message], contacts: pa.Table, first: int, fates: list[Fate]) -> pa.Table:
    people = contacts.slice(first, len(fates))
    if errand.cohort.doubt:
        fates = [_in_doubt(fate) for fate in fates]
    columns = [
        people["line"].combine_chunks(),
        people["id"].combine_chunks(),
        pa.array([str(fate.outcome) for fate in fates], pa.string()),
        pa.array([fate.at for fate in fates], RECORD.field("at").type),
        pa.array([fate.detail for fate in fates], pa.string()),
        pa.array([fate.after for fate in fates], pa.float64()),
        pa.array([fate.doubt for fate in fates], pa.bool_()),
    ]
    return pa.table(columns, schema=RECORD)


def _fates(
    errand: Errand[Message], contacts: pa.Table, windows: list[Window], verdict: Verdict, trouble: str
) -> pa.Table:
    """One row for each contact of the cohort, also for those whom no window reached."""
    now = errand.tools.clock.now()
    cancelled = verdict is Verdict.CANCELLED
    rest = Fate(Outcome.CANCELLED, "", now) if cancelled else Fate(AGAIN, trouble, now, _outage_delay(errand))
    pieces = {each.first: each.record for each in windows}
    for first, size in _gaps(windows, contacts.num_rows, contacts.num_rows):
        pieces[first] = _record(errand, contacts, first, [rest] * size)
    table = pa.concat_tables(pieces[first] for first in sorted(pieces)).combine_chunks()
    if not cancelled:
        return table
    # Nobody is tried again. Of those in doubt nobody can say that nothing reached them.
    stopped = pc.if_else(table["doubt"], str(Outcome.UNKNOWN), str(Outcome.CANCELLED))
    outcomes = pc.if_else(pc.equal(table["outcome"], AGAIN), stopped, table["outcome"])
    return table.set_column(2, RECORD.field("outcome"), outcomes)


def _conclude(errand: Errand[Message], contacts: pa.Table, fates: pa.Table) -> Move:
    """The move that these fates make: who goes on, who stays, and the journal file. Who is cancelled does neither."""
    again, stopped = (pc.equal(fates["outcome"], each) for each in (AGAIN, str(Outcome.CANCELLED)))
    done = fates.filter(pc.invert(again))
    with Draft(errand.tools.files) as draft:
        going = _part(errand, draft, contacts, pc.invert(pc.or_(again, stopped)), "on")
        return Move(
            passages=[Passage(going, errand.to)] if going else [],
            outcomes=Counter(Outcome(each) for each in done["outcome"].to_pylist()),
            records=[_journal(errand, draft, done)] if done.num_rows else [],
            stays=list(_stays(errand, draft, contacts, fates, again)),
        )


def _stays(
    errand: Errand[Message], draft: Draft, contacts: pa.Table, fates: pa.Table, again: pa.ChunkedArray
) -> Iterator[Stay]:
    """Those who are tried again; those in doubt apart, since only of the others it is known that nothing came."""
    for doubt, those in ((False, pc.invert(fates["doubt"])), (True, fates["doubt"])):
        chosen = pc.and_(again, those)
        part = _part(errand, draft, contacts, chosen, "doubt" if doubt else "again")
        if part:
            yield _stay(errand, part, fates.filter(chosen), doubt=doubt)


def _part(errand: Errand[Message], draft: Draft, contacts: pa.Table, chosen: pa.ChunkedArray, name: str) -> Part | None:
    """The chosen contacts as a file, None for nobody. For everybody the cohort's own file serves."""
    count = pc.sum(chosen).as_py()
    if count == errand.cohort.part.size:
        return errand.cohort.part
    return write_part(errand.tools, draft, errand.cohort, contacts.filter(chosen), name) if count else None


def _journal(errand: Errand[Message], draft: Draft, done: pa.Table) -> Record:
    name = file_name(errand.cohort, "journal")
    with scratch_file(errand.tools.scratch) as local:
        pq.write_table(done.select(JOURNAL.names), local, compression="zstd", compression_level=1)
        draft.put(local, name)
    return Record(errand.cohort.step, name, None)


def _stay(errand: Errand[Message], part: Part, waiting: pa.Table, *, doubt: bool) -> Stay:
    reason, _ = Counter(waiting["detail"].to_pylist()).most_common(1)[0]
    return Stay(part, errand.tools.clock.now() + timedelta(seconds=_delay(errand, waiting)), reason, doubt)


def _delay(errand: Errand[Message], waiting: pa.Table) -> float:
    """Seconds until the next attempt: what the other side asked for, else ever longer."""
    asked = waiting["after"].to_pylist()
    grown = errand.tools.pacing.retry_delay * 2.0 ** min(errand.cohort.attempt - 1, 16)
    grown *= 0.9 + secrets.randbelow(200) / 1000
    return min(max(grown if each is None else each for each in asked), _LONGEST_DELAY)
