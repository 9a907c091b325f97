"""Places of a channel: so many messages are under way at once, and those that wait take turns by cohort.

In one line a single message would stand behind the whole windows of all others: at a slow relay for seconds.
"""

import asyncio
from collections import deque
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Generic, TypeVar

#: The line in which the messages of this task wait, like the id of their cohort.
LINE: Final[ContextVar[int | None]] = ContextVar("LINE", default=None)
Item = TypeVar("Item")


class Lines(Generic[Item]):
    """A queue with a line for each cohort; they are served in turn."""

    def __init__(self) -> None:
        self._first: deque[Item] = deque()  # before all lines
        self._lines: dict[int | None, deque[Item]] = {}  # the line whose turn it is stands first

    def __bool__(self) -> bool:
        return bool(self._first or self._lines)

    def append(self, item: Item) -> None:
        """Stand at the end of the line of the present task."""
        self._lines.setdefault(LINE.get(), deque()).append(item)

    def appendleft(self, item: Item) -> None:
        """Stand before all others."""
        self._first.appendleft(item)

    def popleft(self) -> Item:
        """The next one. Raises `StopIteration` if there is none."""
        if self._first:
            return self._first.popleft()
        name, line = next(iter(self._lines.items()))
        item = line.popleft()
        del self._lines[name]
        if line:
            self._lines[name] = line
        return item


class Places:
    """A semaphore whose places go to the lines in turn."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting = Lines[asyncio.Future[None]]()

    async def __aenter__(self) -> None:
        if self._free > 0:  # then nothing waits
            self._free -= 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
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
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
