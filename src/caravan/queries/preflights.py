"""Preflights that people look at: each is computed once in a process, however often its page is loaded meanwhile."""

import asyncio

from caravan.engine.engine import Engine
from caravan.queries.preflight import Preflight, preflight

KEPT = 60.0  # seconds for which one is kept: a held batch does not change, but conditions may ask for the time
_AT_ONCE = 2  # that are computed in one process
_Key = tuple[int, str, str | None]


class Preflights:
    """The preflights that this process computes just now, and those of a moment ago.

    It goes on with one whose page was closed, and the page that comes next finds it.
    """

    def __init__(self, engine: Engine, kept: float = KEPT) -> None:
        self._engine, self._kept = engine, kept
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[_Key, asyncio.Task[Preflight]] = {}

    async def get(self, customer: int, batch: str, contact: str | None = None) -> Preflight:
        """See `preflight`, which also says what is raised."""
        key = (customer, batch, contact)
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(self._compute(key))
            task.add_done_callback(lambda done: self._keep(key, done))
        return await asyncio.shield(task)

    async def _compute(self, key: _Key) -> Preflight:
        async with self._turns:
            return await preflight(self._engine, *key)

    def _keep(self, key: _Key, done: asyncio.Task[Preflight]) -> None:
        failed = done.cancelled() or done.exception() is not None
        asyncio.get_running_loop().call_later(0 if failed else self._kept, self._tasks.pop, key, None)
