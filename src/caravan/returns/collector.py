"""Gathers what comes at the same time into one transaction: a commit for each mail of a flood would take far longer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Collector(Generic[T]):
    """Hands items to `work`, at most `most` at once and one group at a time."""

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[object]], most: int = 200) -> None:
        self._work, self._most = work, most
        self._waiting = deque[tuple[T, asyncio.Future[None]]]()
        self._task: asyncio.Task[None] | None = None

    async def put(self, item: T) -> None:
        """Return once the work is done on it; raises what that raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        await done

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._group([self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))])
        finally:
            self._task = None

    async def _group(self, group: list[tuple[T, asyncio.Future[None]]]) -> None:
        try:
            await self._work([item for item, _ in group])
        except Exception as error:
            if len(group) > 1:  # one that can't be done keeps no other
                for each in group:
                    await self._group([each])
            elif not group[0][1].done():
                group[0][1].set_exception(error)
            return
        for _, done in group:
            if not done.done():
                done.set_result(None)
