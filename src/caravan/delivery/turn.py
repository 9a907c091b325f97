"""How long a sender keeps its place while others wait.

A sender that has taken a cohort would keep its place for the whole of it: at a slow relay for minutes. So after some
time it looks, between two windows, whether another cohort comes first by now, and lets its own go. What it has sent is
settled; the cohort goes on from there when it is its turn again.
"""

import time
from contextlib import suppress

from caravan.delivery.cohort_delivery import CohortDelivery
from caravan.delivery.envelope import Message
from caravan.store import turns
from caravan.store.database import AWAY
from caravan.store.queues import Queue

_QUANTUM = 0.5  # seconds; reading a cohort's file once more takes a hundredth of that


class Turn:
    """The turn of one sender with one cohort; `begin` it first."""

    def __init__(self, delivery: CohortDelivery[Message]) -> None:
        self._delivery = delivery
        self._began, self._sent = time.monotonic(), 0
        self._queue = Queue.DELIVER if delivery.cohort.provider is None else Queue.PACED

    async def begin(self) -> None:
        """It begins now; cohorts that come anew stand behind it."""
        self._began, cohort = time.monotonic(), self._delivery.cohort
        if cohort.turn is not None:
            async with self._delivery.tools.pool.connection() as connection:
                await turns.note_served(connection, self._queue, cohort.turn, cohort.part.size)

    def note_sent(self, contacts: int) -> None:
        """So many were sent to."""
        self._sent += contacts

    async def is_over(self) -> bool:
        """Whether another cohort comes first; then this one stands behind those whom it has sent to."""
        turn = self._delivery.cohort.turn
        if turn is None or self._sent == 0 or time.monotonic() - self._began < _QUANTUM:
            return False
        with suppress(*AWAY):  # what was sent is to be settled first, however long that takes
            if await self._others_first(turn + self._sent):
                await self._delivery.windows.end_turn(self._sent)
                return True
        return False

    async def _others_first(self, turn: int) -> bool:
        async with self._delivery.tools.pool.connection() as connection:
            return await turns.others_first(connection, self._queue, turn)
