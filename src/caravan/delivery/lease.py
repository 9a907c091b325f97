"""The right of a sender to send, which runs out by itself (guarantee 3).

A worker that was silent for too long, because its machine stood still or lost the database, is taken for dead,
and its cohorts go to others. It may be alive. So it sends only for some seconds after it was last told that the
cohort is its own, and its successor waits for as long before it looks at what was left in flight.
"""

import asyncio
import time


class HeldBack(Exception):
    """The sender may not send any more."""


class Lease:
    """The lease on one window; begins to run when it is made."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._halted = False
        self._changed = asyncio.Event()

    def renew(self, asked: float) -> None:
        """The answer to what was asked at `asked` (monotonic seconds) was to go on."""
        self._until = asked + self._seconds
        self._changed.set()

    @property
    def halted(self) -> bool:
        """Whether it is over for good."""
        return self._halted

    def halt(self) -> None:
        """It is over: paused, cancelled, lost, or the worker stops."""
        self._halted = True
        self._changed.set()

    async def wait(self) -> bool:
        """Wait while it has run out, as it does while the database is away; False when it is over."""
        while not self._halted and time.monotonic() >= self._until:
            self._changed.clear()
            await self._changed.wait()
        return not self._halted

    def check(self) -> None:
        """The last look before a message goes out. Raises `HeldBack`."""
        if self._halted or time.monotonic() >= self._until:
            raise HeldBack
