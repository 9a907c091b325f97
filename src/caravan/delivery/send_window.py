"""One window: write its messages, ask the gates, send what they let through, each in its slot."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from datetime import datetime
from itertools import accumulate
from typing import Any, Generic

import pyarrow as pa

from caravan.delivery.cohort_delivery import CohortDelivery, ContactOutcome
from caravan.delivery.envelope import Envelope, Message
from caravan.delivery.gates import Decision, Send, decide
from caravan.delivery.gone import EndpointGone, Gone
from caravan.delivery.insist import ASK_EVERY
from caravan.delivery.learnt import Learnt
from caravan.delivery.lease import HeldBack, Lease
from caravan.delivery.leaving import leaving
from caravan.delivery.outcomes import outcome_of, outcome_of_decision
from caravan.delivery.pace import Slots
from caravan.delivery.places import LINE
from caravan.delivery.refused import suppress_refused
from caravan.delivery.result import Result
from caravan.delivery.too_late import Deadlines, LastLook, TooLate
from caravan.delivery.trace import Mark, Trace
from caravan.errors import RenderFailed, UnsupportedRecipient
from caravan.store.cohorts import FORGOTTEN, slices
from caravan.store.database import AWAY
from caravan.store.journal import AGAIN
from caravan.store.ledger import Outcome
from caravan.store.windows import Verdict


async def send_window(
    delivery: CohortDelivery[Message],
    contacts: pa.Table,
    first: int,
    size: int,
    lease: Lease,
    trace: Trace,
    slots: Slots,
    at_once: int | None = None,
) -> tuple[list[ContactOutcome], ContactOutcome | None]:
    """What came of each contact of the window, and what the channel's trouble makes of all others, if none that was
    tried could be reached. At most `at_once` are under way at one time."""
    LINE.set(delivery.cohort.id)
    async with _watching(delivery, lease):
        # In a thread: a template that takes its time must not hold up the others' sends.
        people = list(slices(contacts, first, size))
        gone = await leaving(delivery, people)
        written = await asyncio.to_thread(_prepare, delivery, people, gone, lease)
        messages = await _pass_gates(delivery, written)
        go_out = [isinstance(each, Envelope) for each in messages]
        last = LastLook(Gone(delivery), Deadlines(delivery.expires, delivery.tools.clock.now))
        sender = _Sender(delivery, trace, lease, last, at_once)
        outcomes = await sender.send_all(messages, slots)
    trace.close()
    with suppress(*AWAY):
        await sender.learnt.tell()
    if not all(go_out):
        with suppress(*AWAY):
            await delivery.tools.pacer.give_back(delivery.cohort, delivery.route, go_out.count(False))
    tried = [outcome for outcome, goes in zip(outcomes, go_out, strict=True) if goes]
    if not all(outcome.outage for outcome in tried):
        return outcomes, None
    return outcomes, max(tried, key=lambda outcome: outcome.after or 0.0, default=None)


async def _pass_gates(
    delivery: CohortDelivery[Message], written: list[Envelope[Message] | ContactOutcome]
) -> list[Envelope[Message] | ContactOutcome]:
    """The same, with an outcome in place of each message that a gate does not let through."""
    if not delivery.tools.gates:
        return written
    envelopes = [each for each in written if isinstance(each, Envelope)]
    decisions = iter(await decide(delivery.tools.gates, delivery.cohort, delivery.name, envelopes))
    now = delivery.tools.clock.now()
    return [_decided(delivery, each, next(decisions), now) if isinstance(each, Envelope) else each for each in written]


def _decided(
    delivery: CohortDelivery[Message], envelope: Envelope[Message], decision: Decision, now: datetime
) -> Envelope[Message] | ContactOutcome:
    return envelope if isinstance(decision, Send) else outcome_of_decision(decision, now, delivery.expires)


def _prepare(
    delivery: CohortDelivery[Message], people: list[dict[str, Any]], gone: dict[int, ContactOutcome], lease: Lease
) -> list[Envelope[Message] | ContactOutcome]:
    """The message of each contact, or its outcome where there is none to send, as for those who have `gone`."""
    return [gone.get(place) or _message(delivery, person, lease) for place, person in enumerate(people)]


def _message(
    delivery: CohortDelivery[Message], person: dict[str, Any], lease: Lease
) -> Envelope[Message] | ContactOutcome:
    if lease.halted:
        return _held_back(delivery)
    if person["id"] == FORGOTTEN:
        return ContactOutcome(Outcome.FORGOTTEN, "nothing is kept of this contact", delivery.tools.clock.now())
    try:
        return delivery.prepare(person)
    except RenderFailed as error:
        outcome = Outcome.UNSUPPORTED_ADDRESS if isinstance(error, UnsupportedRecipient) else Outcome.FAILED
        return ContactOutcome(outcome, error.message, delivery.tools.clock.now())


def _held_back(delivery: CohortDelivery[Message]) -> ContactOutcome:
    return ContactOutcome(AGAIN, "held back before this was sent", delivery.tools.clock.now(), after=0)


@asynccontextmanager
async def _watching(delivery: CohortDelivery[Message], lease: Lease) -> AsyncIterator[None]:
    """Renew the lease, and halt as soon as the batch is paused or cancelled, or the worker stops."""

    async def watch() -> None:
        try:
            while not delivery.tools.stopping.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(delivery.tools.stopping.wait(), ASK_EVERY)
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


class _Sender(Generic[Message]):
    """Sends the messages of one window."""

    def __init__(
        self, delivery: CohortDelivery[Message], trace: Trace, lease: Lease, last: LastLook, at_once: int | None
    ) -> None:
        self._delivery, self._trace, self._lease, self._last = delivery, trace, lease, last
        self._places: AbstractAsyncContextManager[object] = nullcontext()
        if at_once is not None:
            self._places = delivery.tools.pacer.places(delivery.route, at_once)
        self.learnt = Learnt(delivery)

    async def send_all(self, messages: list[Envelope[Message] | ContactOutcome], slots: Slots) -> list[ContactOutcome]:
        """What came of each: those that go out together, in the slot of the last of them, share what came of it."""
        parcels = list(self._delivery.parcels(messages))
        ranks = list(accumulate(isinstance(each, Envelope) for each in messages))
        sends = (self._send(each, places, slots, ranks[max(places)] - 1) for places, each in parcels)
        came = await asyncio.gather(*sends)
        outcomes = {place: outcome for (places, _), outcome in zip(parcels, came, strict=True) for place in places} | {
            place: each for place, each in enumerate(messages) if isinstance(each, ContactOutcome)
        }
        return [outcomes[place] for place in range(len(messages))]

    async def _send(
        self, envelope: Envelope[Message], places: Sequence[int], slots: Slots, index: int
    ) -> ContactOutcome:
        """Send what goes to the contacts at these places of the window, in its slot."""
        if (early := slots.of(index) - time.monotonic()) > 0:
            await asyncio.sleep(early)
        if slots.spacing > 0 and (late := slots.after(time.monotonic()) - time.monotonic()) > 0:
            await asyncio.sleep(late)
        async with self._places:
            if not await self._lease.wait():
                return _held_back(self._delivery)
            return await self._send_now(envelope, places)

    async def _send_now(self, envelope: Envelope[Message], places: Sequence[int]) -> ContactOutcome:
        delivery = self._delivery

        def mark(found: Mark) -> None:
            for place in places:
                self._trace.mark(place, found)

        def under_way() -> None:
            self._last.check(envelope)
            mark(Mark.UNDER_WAY)  # first: a process that stops after the check leaves it unknown at worst
            self._lease.check()

        begun = time.perf_counter()
        try:
            sent = await delivery.channel.send(envelope.message, under_way)
        except HeldBack:
            mark(Mark.AGAIN)
            return _held_back(delivery)
        except TooLate as reason:
            mark(Mark.AGAIN)
            return reason.outcome
        except EndpointGone as reason:
            mark(Mark.FAILED)
            return ContactOutcome(Outcome.FAILED, str(reason), delivery.tools.clock.now())
        reached = sent.result is not Result.UNREACHABLE
        delivery.tools.metrics.sent(delivery.name, sent.result, time.perf_counter() - begun, reached=reached)
        outcome = outcome_of(sent, delivery, delivery.tools.clock.now())
        mark(Mark.UNDER_WAY if outcome.doubt else _MARKS.get(outcome.outcome, Mark.FAILED))
        if sent.gone:
            await self._last.gone.note(envelope.recipient, sent.detail)
        if sent.suppress is not None:
            await suppress_refused(delivery, envelope, sent.suppress, sent.detail)
        if sent.heard is not None:
            self.learnt.note(sent, sent.heard)
        return outcome


_MARKS = {Outcome.SENT: Mark.SENT, Outcome.UNKNOWN: Mark.UNDER_WAY, AGAIN: Mark.AGAIN}
