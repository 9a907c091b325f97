"""Places of a channel: so many messages are under way at once, and those that wait take turns by cohort.

In one line a single message would stand behind the whole windows of all others: at a slow relay for seconds.
"""

import asyncio
from collections import deque
from contextvars import ContextVar
from types import TracebackType
from typing import Final

#: The line in which the messages of this task wait, like the id of their cohort.
LINE: Final[ContextVar[int | None]] = ContextVar("LINE", default=None)


class Places:
    """A semaphore with a line for each cohort; a place that becomes free goes to the lines in turn."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._lines: dict[int | None, deque[asyncio.Future[None]]] = {}  # the line whose turn it is stands first

    async def __aenter__(self) -> None:
        if self._free > 0:  # then nothing waits
            self._free -= 1
            return
        place = asyncio.get_running_loop().create_future()
        self._lines.setdefault(LINE.get(), deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it got the place in the same moment
                self._pass_on()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        """Give a place to the next that waits, if there is one."""
        while self._lines:
            name, line = next(iter(self._lines.items()))
            place = line.popleft()
            del self._lines[name]
            if line:
                self._lines[name] = line
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
