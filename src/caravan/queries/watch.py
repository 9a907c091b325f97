"""Batches that are watched: one poller for each of them and process feeds all who watch it, and stops with the last."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from caravan.engine.engine import Engine
from caravan.errors import CaravanError
from caravan.queries.batch import BatchReport, batch_report
from caravan.store.database import single

LOOK_EVERY = 0.5  # seconds
_SPAN = 10.0  # seconds over which the rate is taken
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """A watched batch at one moment; `rate` is how many contacts a second have left a step of late."""

    report: BatchReport
    rate: float


class Rate:
    """Contacts a second over the last ten seconds. A shorter stretch would jump: outcomes are counted by the window,
    the ledger by the cohort."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, done: int, now: float) -> float:
        """The rate, when `done` contacts have left at `now` (monotonic seconds)."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _SPAN:
            self._seen.popleft()
        since, before = self._seen[0]
        return round(max(0, done - before) / (now - since), 1) if now > since else 0.0


@dataclass(slots=True)
class _Watched:
    """One batch that somebody watches."""

    watchers: int = 0
    latest: Progress | CaravanError | None = None
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    poller: asyncio.Task[None] | None = None


class Watches:
    """The batches that are watched in this process."""

    def __init__(self, engine: Engine, every: float = LOOK_EVERY) -> None:
        self._engine, self._every = engine, every
        self._watched: dict[tuple[int, str], _Watched] = {}

    @property
    def pollers(self) -> int:
        """How many batches are polled just now."""
        return len(self._watched)

    async def follow(self, customer: int, batch: str) -> AsyncIterator[Progress]:
        """The batch now and after each look, until it has ended. Raises `NotFound`, also for another customer's."""
        async with self._joined(customer, batch) as watched:
            told: Progress | None = None
            while told is None or told.report.batch.finished_at is None:
                told = await self._next(watched, told)
                yield told

    async def _next(self, watched: _Watched, told: Progress | None) -> Progress:
        async with watched.changed:
            await watched.changed.wait_for(lambda: watched.latest is not None and watched.latest is not told)
        if isinstance(watched.latest, CaravanError):
            raise watched.latest
        assert watched.latest is not None
        return watched.latest

    @asynccontextmanager
    async def _joined(self, customer: int, batch: str) -> AsyncIterator[_Watched]:
        key = (customer, batch)
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = _Watched()
            watched.poller = asyncio.create_task(self._poll(customer, batch, watched))
        watched.watchers += 1
        try:
            yield watched
        finally:
            watched.watchers -= 1
            if watched.watchers == 0 and self._watched.get(key) is watched:
                del self._watched[key]
                assert watched.poller is not None
                watched.poller.cancel()

    async def _poll(self, customer: int, batch: str, watched: _Watched) -> None:
        rate = Rate()
        while True:
            latest = await self._look(customer, batch, rate)
            if latest is not None:
                async with watched.changed:
                    watched.latest = latest
                    watched.changed.notify_all()
                if isinstance(latest, CaravanError) or latest.report.batch.finished_at is not None:
                    break
            await asyncio.sleep(self._every)
        with suppress(KeyError):  # a watcher that comes from now on looks for itself
            if self._watched[customer, batch] is watched:
                del self._watched[customer, batch]

    async def _look(self, customer: int, batch: str, rate: Rate) -> Progress | CaravanError | None:
        """The batch as it is now; None while PostgreSQL is away, so that the watchers wait for it too."""
        try:
            async with single(self._engine.pool) as connection:
                report = await batch_report(self._engine, connection, customer, batch)
        except CaravanError as error:
            return error
        except Exception as error:
            _log.warning("Can't look at batch %s just now: %s", batch, " ".join(str(error).split()))
            return None
        return Progress(report, rate.update(report.done, asyncio.get_running_loop().time()))
