"""Send a message to each contact of a cohort, window by window (guarantee 3). All message steps share it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import psycopg
import pyarrow as pa

from caravan.delivery.build_move import all_outcomes, build_move
from caravan.delivery.cohort_delivery import CohortDelivery, ContactOutcome
from caravan.delivery.envelope import Envelope, Message
from caravan.delivery.gates import Decision, Send, decide
from caravan.delivery.lease import HeldBack, Lease
from caravan.delivery.outcomes import outcome_of, outcome_of_decision, outcome_of_mark, record_of
from caravan.delivery.places import LINE
from caravan.delivery.result import Result
from caravan.delivery.share import share_out
from caravan.delivery.trace import Mark, Trace, drop_trace, read_trace
from caravan.delivery.turn import Turn
from caravan.errors import RenderFailed
from caravan.steps.move import Move
from caravan.store.batches import clear_hindrance, note_hindrance
from caravan.store.cohorts import read_contacts, slices
from caravan.store.database import AWAY
from caravan.store.journal import AGAIN
from caravan.store.ledger import Outcome
from caravan.store.windows import Verdict, gaps

_ASK_EVERY = 0.3  # seconds between two looks whether the batch was paused or cancelled; well within a lease
_LONGEST_ASK = 8.0  # seconds between two tries to note what was sent, while the database does not take it
_WARY_FROM = 2  # deaths; their cause is among the first that were to be sent to, and is to hit none of the others
_NO_RESOURCES = "53"  # PostgreSQL's class of errors for a full disk and the like

Answer = TypeVar("Answer")
_log = logging.getLogger(__name__)


async def deliver(delivery: CohortDelivery[Message]) -> Move | None:
    """Send to every contact of the cohort that is still to be sent to; None if that has to go on later."""
    contacts = await asyncio.to_thread(_read, delivery)
    if not await delivery.windows.all() and (shares := await share_out(delivery.cohort, contacts, delivery.tools)):
        return shares
    await _recover_orphaned_windows(delivery, contacts)
    verdict, trouble = await _send_windows(delivery, contacts)
    if verdict in (Verdict.PAUSED, Verdict.LOST, Verdict.TURN_OVER):
        return None
    outcomes = all_outcomes(delivery, contacts, await delivery.windows.all(), verdict, trouble)
    return await asyncio.to_thread(build_move, delivery, contacts, outcomes)


def _read(delivery: CohortDelivery[Message]) -> pa.Table:
    with delivery.tools.files.local(delivery.cohort.part.file) as path:
        return read_contacts(path)


async def _recover_orphaned_windows(delivery: CohortDelivery[Message], contacts: pa.Table) -> None:
    """Settle what an earlier claim left in flight: nothing of it is sent again blindly."""
    if all(window.record is not None for window in await delivery.windows.all()):
        return
    # The earlier claimant may be alive, and only have been silent for too long. Its lease runs out meanwhile; twice as
    # long, because its clock is another one.
    await asyncio.sleep(2 * delivery.tools.pacing.lease)
    for window in await delivery.windows.all():
        if window.record is not None:
            continue
        marks = read_trace(delivery.tools.traces, window.claim, window.first, window.size)
        now = delivery.tools.clock.now()
        outcomes = [outcome_of_mark(mark, delivery.on_unknown, now) for mark in marks or [Mark.UNDER_WAY] * window.size]
        await delivery.windows.recover(window.first, record_of(delivery, contacts, window.first, outcomes))
        drop_trace(delivery.tools.traces, window.claim, window.first)


async def _send_windows(delivery: CohortDelivery[Message], contacts: pa.Table) -> tuple[Verdict, str]:
    """Send window after window until all is done (GO) or something stops it; with the channel's trouble, if any."""
    settled: tuple[int, pa.Table] | None = None
    verdict, trouble, turn = Verdict.GO, "", Turn(delivery)
    await turn.begin()
    most = delivery.tools.pacing.window_size
    singly = most if delivery.cohort.deaths >= _WARY_FROM else 0
    for first, size in gaps(await delivery.windows.all(), contacts.num_rows, most, singly):
        if await turn.is_over():
            verdict = Verdict.TURN_OVER
            break
        lease = Lease(delivery.tools.pacing.lease)
        # Before the window is taken: a kill between the two would else leave all of it unknown.
        try:
            trace = Trace(delivery.tools.traces, delivery.claim, first, size)
        except OSError:  # a full disk; what was sent before is noted all the same
            if settled is not None:
                await _settle(delivery, *settled)
            raise
        take = partial(delivery.windows.take, first, size, delivery.tools.clock.now(), settled)
        verdict = await _insist(delivery, take)
        if settled is not None:
            drop_trace(delivery.tools.traces, delivery.claim, settled[0])
            settled = None
        if verdict is not Verdict.GO:
            trace.close()
            drop_trace(delivery.tools.traces, delivery.claim, first)
            break
        outcomes, trouble = await _send_window(delivery, contacts, first, size, lease, trace)
        settled = (first, record_of(delivery, contacts, first, outcomes))
        turn.note_sent(size)
        if trouble or delivery.tools.stopping.is_set():
            break
    if settled is not None:
        await _settle(delivery, *settled)
    if verdict is Verdict.GO:
        verdict = await delivery.windows.verdict()
    if verdict is Verdict.GO and delivery.tools.stopping.is_set():
        verdict = Verdict.PAUSED
    return verdict, trouble


async def _settle(delivery: CohortDelivery[Message], first: int, record: pa.Table) -> None:
    """Commit what became of a window."""
    await _insist(delivery, partial(delivery.windows.settle, first, record))
    drop_trace(delivery.tools.traces, delivery.claim, first)


async def _insist(delivery: CohortDelivery[Message], ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask with growing delay until the database answers: what became of a window is known here, and nowhere else as
    surely. A worker that stops can't wait; its trace tells then."""
    delay = _ASK_EVERY
    while True:
        try:
            answer = await ask()
            break
        except AWAY as error:
            if delivery.tools.stopping.is_set():
                raise
            await _complain(delivery, error)
        with suppress(TimeoutError):
            await asyncio.wait_for(delivery.tools.stopping.wait(), delay)
        delay = min(2 * delay, _LONGEST_ASK)
    if delay > _ASK_EVERY:
        await _note_hindrance(delivery, None)
    return answer


async def _complain(delivery: CohortDelivery[Message], error: psycopg.Error) -> None:
    """Say why the sender waits: in the log, and on the batch if the database takes that little."""
    words = " ".join(str(error).split())
    _log.warning("A window of cohort %d waits for the database: %s", delivery.cohort.id, words)
    if (error.sqlstate or "").startswith(_NO_RESOURCES):
        why = (error.diag.message_primary or words).rpartition(": ")[2]  # before it stands a file of PostgreSQL's
        await _note_hindrance(delivery, f"PostgreSQL can't note what was sent, and is asked again and again: {why}.")


async def _note_hindrance(delivery: CohortDelivery[Message], hindrance: str | None) -> None:
    with suppress(*AWAY):
        async with delivery.tools.pool.connection() as connection:
            if hindrance is None:
                await clear_hindrance(connection, delivery.cohort.batch)
            else:
                await note_hindrance(connection, delivery.cohort.batch, hindrance)


async def _send_window(
    delivery: CohortDelivery[Message], contacts: pa.Table, first: int, size: int, lease: Lease, trace: Trace
) -> tuple[list[ContactOutcome], str]:
    """What came of each contact of the window, and the channel's trouble if none that was tried could be reached."""
    LINE.set(delivery.cohort.id)
    async with _watching(delivery, lease):
        # In a thread: a template that takes its time must not hold up the others' sends.
        written = await asyncio.to_thread(_prepare, delivery, list(slices(contacts, first, size)), lease)
        messages = await _pass_gates(delivery, written)
        outcomes = await asyncio.gather(*(_send(delivery, each, trace, i, lease) for i, each in enumerate(messages)))
    trace.close()
    tried = [outcome for outcome, each in zip(outcomes, messages, strict=True) if isinstance(each, Envelope)]
    return outcomes, tried[0].detail if tried and all(outcome.outage for outcome in tried) else ""


async def _pass_gates(
    delivery: CohortDelivery[Message], written: list[Envelope[Message] | ContactOutcome]
) -> list[Envelope[Message] | ContactOutcome]:
    """The same, with an outcome in place of each message that a gate does not let through."""
    if not delivery.tools.gates:
        return written
    envelopes = [each for each in written if isinstance(each, Envelope)]
    decisions = iter(await decide(delivery.tools.gates, delivery.cohort, delivery.name, envelopes))
    now = delivery.tools.clock.now()
    return [_decided(each, next(decisions), now) if isinstance(each, Envelope) else each for each in written]


def _decided(envelope: Envelope[Message], decision: Decision, now: datetime) -> Envelope[Message] | ContactOutcome:
    return envelope if isinstance(decision, Send) else outcome_of_decision(decision, now)


def _prepare(
    delivery: CohortDelivery[Message], people: list[dict[str, Any]], lease: Lease
) -> list[Envelope[Message] | ContactOutcome]:
    """The message of each contact, or its outcome where there is none to send."""
    messages: list[Envelope[Message] | ContactOutcome] = []
    for person in people:
        message = _message(delivery, person, lease)
        messages.append(message)
    return messages


def _message(
    delivery: CohortDelivery[Message], person: dict[str, Any], lease: Lease
) -> Envelope[Message] | ContactOutcome:
    if lease.halted:
        return _held_back(delivery)
    try:
        return delivery.prepare(person)
    except RenderFailed as error:
        return ContactOutcome(Outcome.FAILED, error.message, delivery.tools.clock.now())


def _held_back(delivery: CohortDelivery[Message]) -> ContactOutcome:
    return ContactOutcome(AGAIN, "held back before this was sent", delivery.tools.clock.now(), after=0)


@asynccontextmanager
async def _watching(delivery: CohortDelivery[Message], lease: Lease) -> AsyncIterator[None]:
    """Renew the lease, and halt as soon as the batch is paused or cancelled, or the worker stops."""

    async def watch() -> None:
        try:
            while not delivery.tools.stopping.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(delivery.tools.stopping.wait(), _ASK_EVERY)
                if not await _renew(delivery, lease):
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


async def _renew(delivery: CohortDelivery[Message], lease: Lease) -> bool:
    """Renew the lease; False if that is refused. While the database is away it runs out, and is renewed later."""
    asked = time.monotonic()
    with suppress(*AWAY):
        if await delivery.windows.verdict() is not Verdict.GO:
            return False
        lease.renew(asked)
    return True


async def _send(
    delivery: CohortDelivery[Message],
    envelope: Envelope[Message] | ContactOutcome,
    trace: Trace,
    index: int,
    lease: Lease,
) -> ContactOutcome:
    if isinstance(envelope, ContactOutcome):
        return envelope
    if not await lease.wait():
        return _held_back(delivery)

    def under_way() -> None:
        trace.mark(index, Mark.UNDER_WAY)  # first: a process that stops after the check leaves it unknown at worst
        lease.check()

    begun = time.perf_counter()
    try:
        sent = await delivery.channel.send(envelope.message, under_way)
    except HeldBack:
        trace.mark(index, Mark.AGAIN)
        return _held_back(delivery)
    reached = sent.result is not Result.UNREACHABLE
    delivery.tools.metrics.sent(delivery.name, sent.result, time.perf_counter() - begun, reached=reached)
    outcome = outcome_of(sent, delivery, delivery.tools.clock.now())
    trace.mark(index, Mark.UNDER_WAY if outcome.doubt else _MARKS.get(outcome.outcome, Mark.FAILED))
    return outcome


_MARKS = {Outcome.SENT: Mark.SENT, Outcome.UNKNOWN: Mark.UNDER_WAY, AGAIN: Mark.AGAIN}
