"""When the workers of a process look for jobs: as soon as one is deferred, or falls due.

Procrastinate's workers poll, and each listens on a connection of its own. Here one connection listens for all queues of
a process, and one query tells when the next job of any of them falls due. So a process with nothing to do does next to
nothing, and yet no job waits for the next poll.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

from procrastinate.jobs import Notification
from procrastinate.manager import NotificationCallback

from caravan.every import every
from caravan.store import jobs
from caravan.store.database import Pool

LOOK_EVERY = 5.0  # seconds between two looks for what no notification told of, as while the connection was lost
_REST = 0.2  # seconds between two looks at least, however many jobs are deferred
_PAUSE = 0.01  # seconds after which a worker that was woken a moment too early is woken once more
_LISTEN_AGAIN = 1.0  # seconds until a lost connection is replaced
_CHANNEL = "procrastinate_queue_v1#"  # and the queue's name: Procrastinate's own

Listen = Callable[[NotificationCallback, Collection[str]], Awaitable[None]]


class Wakeups:
    """Wakes the workers of one process, each of which attends to some queues."""

    def __init__(self) -> None:
        self._callbacks: dict[str, NotificationCallback] = {}
        self._count = Counter[str]()
        self._changed = asyncio.Event()

    def count(self, queues: Collection[str]) -> int:
        """How often these queues had news. If it grew while a worker looked for a job, that may have missed one."""
        return sum(self._count[queue] for queue in queues)

    async def attend(self, callback: NotificationCallback, queues: Collection[str]) -> None:
        """Call back whenever there may be a job in one of these queues, until cancelled."""
        self._callbacks |= dict.fromkeys(queues, callback)
        await asyncio.Event().wait()

    async def wake(self, queue: str, notification: Notification | None = None) -> None:
        """There may be a job in this queue that can run now; or what the notification says."""
        self._count[queue] += 1
        if (callback := self._callbacks.get(queue)) is not None:
            await callback(channel=queue, notification=notification or {"type": "job_inserted", "job_id": 0})

    def look_again(self) -> None:
        """A job of this process has been scheduled; it may be the one that is due next."""
        self._changed.set()

    @asynccontextmanager
    async def running(self, listen: Listen, pool: Pool, queues: Collection[str]) -> AsyncIterator[None]:
        """Wake the workers of these queues for as long as the block lasts."""
        async with (
            every(_LISTEN_AGAIN, lambda: listen(self._hear, queues), "listen for jobs", at_once=True),
            every(_PAUSE, lambda: self._look(pool, queues), "look which job falls due next", at_once=True),
        ):
            yield

    async def _hear(self, *, channel: str, notification: Notification) -> None:
        self.look_again()  # it may be a job for later
        await self.wake(channel.removeprefix(_CHANNEL), notification)

    async def _look(self, pool: Pool, queues: Collection[str]) -> None:
        """Wake the workers for which a job waits; then wait for the next one to fall due, and wake its worker."""
        self._changed.clear()
        try:
            found = await jobs.next_due(pool, queues)
        except Exception:
            await asyncio.sleep(_LISTEN_AGAIN)
            raise
        for each in found:
            if each.ready:
                await self.wake(each.queue)
        soonest = min((each.seconds for each in found if each.seconds is not None), default=LOOK_EVERY)
        if await self._changes_within(min(soonest, LOOK_EVERY)):
            return
        for each in found:
            if each.seconds is not None and each.seconds <= soonest <= LOOK_EVERY:
                await self.wake(each.queue)

    async def _changes_within(self, seconds: float) -> bool:
        """Whether something changes in this time. It is told after a rest, or once the time is over."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.sleep(_REST)
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
