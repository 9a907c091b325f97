"""Send a cohort window by window: each is taken before any of it is sent, and settled with the next (guarantee 3)."""

import time
from collections import deque
from dataclasses import replace
from functools import partial

import pyarrow as pa

from caravan.delivery.cohort_delivery import CohortDelivery, ContactOutcome
from caravan.delivery.envelope import Message
from caravan.delivery.insist import insist
from caravan.delivery.lease import Lease
from caravan.delivery.outcomes import record_of
from caravan.delivery.pace import Grant, Refusal
from caravan.delivery.send_window import send_window
from caravan.delivery.sort import unsorted
from caravan.delivery.too_late import expired
from caravan.delivery.trace import Trace, drop_trace
from caravan.delivery.turn import Turn
from caravan.store.journal import LATER
from caravan.store.windows import Verdict, gaps

_AFTER_PROBE = 1.0  # seconds until a cohort asks again with which a breaker was tried in vain
_WARY_FROM = 2  # deaths; their cause is among the first that were to be sent to, and is to hit none of the others


async def send_windows(delivery: CohortDelivery[Message], contacts: pa.Table) -> tuple[Verdict, ContactOutcome | None]:
    """Send window after window until all is done (GO) or something stops it; with what the channel's trouble, if there
    is one, makes of all the others."""
    run, turn = _Run(delivery, contacts), Turn(delivery)
    await turn.begin()
    most = delivery.tools.pacing.window_size
    singly = most if delivery.cohort.deaths >= _WARY_FROM else 0
    left = deque(gaps(await delivery.windows.all(), contacts.num_rows, most, singly))
    verdict = Verdict.GO
    while left and verdict is Verdict.GO and not run.ends:
        if over := expired(delivery.expires, delivery.tools.clock.now()):
            run.trouble = over
            break
        if await turn.is_over():
            verdict = Verdict.TURN_OVER
            break
        if await insist(delivery, partial(unsorted, delivery)):
            run.trouble = ContactOutcome(LATER, "sorted by provider anew", delivery.tools.clock.now(), after=0)
            break
        first, size = left.popleft()
        to_go = size + sum(count for _, count in left)
        ask = partial(delivery.tools.pacer.ask, delivery.cohort, delivery.route, size, to_go)
        grant = await insist(delivery, ask)
        if isinstance(grant, Refusal):
            run.refusal = grant
            break
        if grant.count < size:
            left.appendleft((first + grant.count, size - grant.count))
        verdict = await run.window(first, min(size, grant.count), grant)
        turn.note_sent(min(size, grant.count))
    return await run.end(verdict), run.trouble


def _stand(outcome: ContactOutcome) -> ContactOutcome:
    return replace(outcome, outcome=LATER, after=_AFTER_PROBE, outage=False) if outcome.outage else outcome


class _Run:
    """What one sender has in its hands of a cohort."""

    def __init__(self, delivery: CohortDelivery[Message], contacts: pa.Table) -> None:
        self._delivery, self._contacts = delivery, contacts
        self._unsettled: tuple[int, pa.Table] | None = None
        self.refusal: Refusal | None = None
        self.trouble: ContactOutcome | None = None

    @property
    def ends(self) -> bool:
        """Whether nothing more of it is to be sent."""
        return self.trouble is not None or self._delivery.tools.stopping.is_set()

    async def window(self, first: int, size: int, grant: Grant) -> Verdict:
        """Take a window, settle the one before, and send it if the verdict is GO."""
        delivery, slots = self._delivery, grant.at(time.monotonic())
        lease, trace = Lease(delivery.tools.pacing.lease), await self._trace(first, size)
        take = partial(delivery.windows.take, first, size, delivery.tools.clock.now(), self._unsettled)
        verdict = await insist(delivery, take)
        if self._unsettled is not None:
            drop_trace(delivery.tools.traces, delivery.claim, self._unsettled[0])
            self._unsettled = None
        if verdict is not Verdict.GO:
            trace.close()
            drop_trace(delivery.tools.traces, delivery.claim, first)
            return verdict
        outcomes, self.trouble = await send_window(
            delivery, self._contacts, first, size, lease, trace, slots, grant.at_once
        )
        if grant.probes and self.trouble is not None and self.trouble.outage:
            # It was known that this could be so: it is no attempt, and another relay may stand in.
            outcomes, self.trouble = list(map(_stand, outcomes)), _stand(self.trouble)
        self._unsettled = first, record_of(delivery, self._contacts, first, outcomes)
        return verdict

    async def _trace(self, first: int, size: int) -> Trace:
        """The trace of a window, made before it is taken: a kill between the two would else leave all of it unknown."""
        delivery = self._delivery
        try:
            return Trace(delivery.tools.traces, delivery.claim, first, size)
        except OSError:  # a full disk; what was sent before is noted all the same
            await self._settle()
            raise

    async def end(self, verdict: Verdict) -> Verdict:
        """Settle what is left to be settled, and let the cohort stand if there is no slot for it."""
        delivery = self._delivery
        await self._settle()
        if verdict is Verdict.GO:
            verdict = await delivery.windows.verdict()
        if verdict is Verdict.GO and delivery.tools.stopping.is_set():
            return Verdict.PAUSED
        if verdict is Verdict.GO and self.refusal is not None:
            now = delivery.tools.clock.now()
            stand = partial(delivery.tools.pacer.stand, delivery.cohort, delivery.route, self.refusal, now)
            await insist(delivery, stand)
            return Verdict.PACED
        return verdict

    async def _settle(self) -> None:
        """Commit what became of the last window."""
        if self._unsettled is None:
            return
        first, record = self._unsettled
        await insist(self._delivery, partial(self._delivery.windows.settle, first, record))
        drop_trace(self._delivery.tools.traces, self._delivery.claim, first)
        self._unsettled = None
