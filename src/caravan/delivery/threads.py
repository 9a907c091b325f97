"""Who may answer: on a channel whose answers name nothing but two addresses, the last delivery to each is noted."""

from collections.abc import Sequence
from typing import Any

from caravan.clock import Clock
from caravan.delivery.decisions import SEND, Decision
from caravan.delivery.envelope import Envelope
from caravan.store import sms_threads
from caravan.store.cohorts import Cohort
from caravan.store.database import Pool, single
from caravan.store.sms_threads import Written

_CHANNELS = frozenset({"sms"})


class ThreadGate:
    """Lets everything through, and notes it: an answer can come before the window is settled. One query a window."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool

    async def decide(self, cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]) -> Sequence[Decision]:
        """See `Gate.decide`."""
        if channel in _CHANNELS:
            written = [
                Written(each.recipient, each.sender or "", each.contact, each.key)
                for each in envelopes
                if each.contact is not None
            ]
            async with single(self._pool) as connection:
                await sms_threads.note(connection, cohort.customer, written)
        return [SEND] * len(envelopes)
