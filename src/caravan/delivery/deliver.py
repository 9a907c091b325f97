"""Send something to each contact of a cohort, window by window (law 3). Email and webhook steps share it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import psycopg
import pyarrow as pa

from caravan.delivery.build_move import all_fates, conclude
from caravan.delivery.cohort_delivery import AGAIN, Errand, Fate, Message
from caravan.delivery.lease import HeldBack, Lease
from caravan.delivery.outcomes import fate_of, fate_of_mark, record_of
from caravan.delivery.share import share_out
from caravan.delivery.trace import Mark, Trace, drop_trace, read_trace
from caravan.errors import RenderFailed
from caravan.steps.move import Move
from caravan.store.batches import clear_hindrance, note_hindrance
from caravan.store.cohorts import read_contacts, slices
from caravan.store.database import AWAY
from caravan.store.ledger import Outcome
from caravan.store.windows import Verdict, gaps

_ASK_EVERY = 0.3  # seconds between two looks whether the batch was paused or cancelled; well within a lease
_LONGEST_ASK = 8.0  # seconds between two tries to note what was sent, while the database does not take it
_WARY_FROM = 2  # deaths; who killed is among the first that were to be sent to, and is to kill none of the others
_NO_RESOURCES = "53"  # PostgreSQL's class of errors for a full disk and the like

Answer = TypeVar("Answer")
_log = logging.getLogger(__name__)


async def deliver(errand: Errand[Message]) -> Move | None:
    """Send to everyone in the cohort who is still to be sent to; None if that has to go on later."""
    contacts = await asyncio.to_thread(_read, errand)
    if not await errand.windows.all() and (shares := await share_out(errand.cohort, contacts, errand.tools)):
        return shares
    await _inherit(errand, contacts)
    verdict, trouble = await _send_windows(errand, contacts)
    if verdict in (Verdict.PAUSED, Verdict.LOST):
        return None
    fates = all_fates(errand, contacts, await errand.windows.all(), verdict, trouble)
    return await asyncio.to_thread(conclude, errand, contacts, fates)


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
        fates = [fate_of_mark(mark, errand.on_unknown, now) for mark in marks or [Mark.UNDER_WAY] * window.size]
        await errand.windows.inherit(window.first, record_of(errand, contacts, window.first, fates))
        drop_trace(errand.tools.traces, window.holder, window.first)


async def _send_windows(errand: Errand[Message], contacts: pa.Table) -> tuple[Verdict, str]:
    """Send window after window until all is done (GO) or something stops it; with the channel's trouble, if any."""
    settled: tuple[int, pa.Table] | None = None
    verdict, trouble = Verdict.GO, ""
    most = errand.tools.pacing.window_size
    singly = most if errand.cohort.deaths >= _WARY_FROM else 0
    for first, size in gaps(await errand.windows.all(), contacts.num_rows, most, singly):
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
        settled = (first, record_of(errand, contacts, first, fates))
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
    fate = fate_of(delivery, errand, errand.tools.clock.now())
    trace.mark(index, Mark.UNDER_WAY if fate.doubt else _MARKS.get(fate.outcome, Mark.FAILED))
    return fate


_MARKS = {Outcome.SENT: Mark.SENT, Outcome.UNKNOWN: Mark.UNDER_WAY, AGAIN: Mark.AGAIN}
