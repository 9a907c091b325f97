"""Batches that are watched, one by one and as pages of a list: see `feeds.py` for what it costs."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from caravan.engine.engine import Engine
from caravan.queries.batch import BatchReport, batch_report
from caravan.queries.batch_returns import ReturnsState, StepReturns, batch_returns, returns_state
from caravan.queries.failures import FailureReasons
from caravan.queries.feeds import Feeds, Look
from caravan.queries.listed import ListedBatch, listed
from caravan.queries.moved import Movements
from caravan.queries.readiness import Readiness
from caravan.queries.replies import ChannelState, channel_states
from caravan.queries.system import SystemState, system_state
from caravan.store.batches import Page
from caravan.store.database import single, snapshot

LOOK_EVERY = 1.0  # seconds
SYSTEM_EVERY = 2.0
CHANNELS_EVERY = 2.0
LIST_EVERY = 2.0  # seconds between two looks at a page of the list, which asks for up to 200 batches
RETURNS_EVERY = 2.0
RETURNS_SHOWN = 50
_SPAN = 10.0  # seconds over which the rate is taken


@dataclass(frozen=True, slots=True)
class Progress:
    """A watched batch at one moment; `rate` is how many contacts a second have left a step of late."""

    report: BatchReport
    rate: float
    returns: list[StepReturns]


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


class Watches:
    """The batches, the pages of batches and the channels that are watched in this process, and the installation."""

    def __init__(
        self,
        engine: Engine,
        every: float = LOOK_EVERY,
        list_every: float = LIST_EVERY,
        readiness: Readiness | None = None,
    ) -> None:
        self._engine = engine
        self._readiness = readiness or Readiness(engine)
        self._system = Feeds(self._at_system, lambda found: False, SYSTEM_EVERY)
        self.movements = Movements(engine)
        self.reasons = FailureReasons(engine)
        self._channels = Feeds(self._at_channels, lambda found: False, CHANNELS_EVERY)
        self._returns = Feeds(self._at_returns, lambda found: False, RETURNS_EVERY)
        self._batches = Feeds(self._at_batch, _is_last, every)
        self._pages = Feeds(self._at_page, lambda found: False, list_every)

    @property
    def pollers(self) -> int:
        """How many things are polled just now."""
        feeds = (self._batches, self._pages, self._system, self._channels, self._returns)
        return sum(each.pollers for each in feeds)

    def follow(self, customer: int, batch: str) -> AsyncIterator[Progress]:
        """The batch now and after each look, until it has ended. Raises `NotFound`, also for another customer's."""
        return self._batches.follow((customer, batch))

    def follow_returns(self, customer: int, batch: str) -> AsyncIterator[ReturnsState]:
        """What has come back to a batch now and after each look, without an end: bounces come long after the last
        contact has left."""
        return self._returns.follow((customer, batch))

    def follow_page(self, customer: int, wanted: Page) -> AsyncIterator[list[ListedBatch]]:
        """The page of a customer's batches now and after each look, without an end."""
        return self._pages.follow((customer, wanted))

    def follow_system(self) -> AsyncIterator[SystemState]:
        """The installation now and after each look, without an end."""
        return self._system.follow("the installation")

    def follow_channels(self, customer: int) -> AsyncIterator[list[ChannelState]]:
        """A customer's channels now and after each look, without an end."""
        return self._channels.follow(customer)

    def _at_system(self, key: str) -> Look[SystemState]:
        return lambda: system_state(self._engine, self._readiness)

    def _at_channels(self, customer: int) -> Look[list[ChannelState]]:
        return lambda: channel_states(self._engine, customer)

    def _at_batch(self, key: tuple[int, str]) -> Look[Progress]:
        rate = Rate()

        async def look() -> Progress:
            async with single(self._engine.pool) as connection:
                report = await batch_report(self._engine, connection, *key)
                returns = await batch_returns(connection, report)
            return Progress(report, rate.update(report.done, asyncio.get_running_loop().time()), returns)

        return look

    def _at_returns(self, key: tuple[int, str]) -> Look[ReturnsState]:
        return lambda: returns_state(self._engine, *key, RETURNS_SHOWN)

    def _at_page(self, key: tuple[int, Page]) -> Look[list[ListedBatch]]:
        rates: dict[str, Rate] = {}

        async def look() -> list[ListedBatch]:
            nonlocal rates
            async with snapshot(self._engine.pool) as connection:
                found = await listed(self._engine, connection, *key)
            rates = {each.report.batch.id: rates.get(each.report.batch.id, Rate()) for each in found}
            now = asyncio.get_running_loop().time()
            return [replace(each, rate=rates[each.report.batch.id].update(each.report.done, now)) for each in found]

        return look


def _is_last(told: Progress) -> bool:
    return told.report.batch.finished_at is not None
