"""Batches that are watched, one by one and as pages of a list: see `feeds.py` for what it costs."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from caravan.engine.engine import Engine
from caravan.queries.batch import BatchReport, batch_report, batch_reports
from caravan.queries.feeds import Feeds, Look
from caravan.store.batches import Page
from caravan.store.database import single, snapshot

LOOK_EVERY = 0.5  # seconds
LIST_EVERY = 2.0  # seconds between two looks at a page of the list, which asks for up to 200 batches
_SPAN = 10.0  # seconds over which the rate is taken


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


class Watches:
    """The batches and the pages of batches that are watched in this process."""

    def __init__(self, engine: Engine, every: float = LOOK_EVERY, list_every: float = LIST_EVERY) -> None:
        self._engine = engine
        self._batches = Feeds(self._at_batch, _is_last, every)
        self._pages = Feeds(self._at_page, lambda found: False, list_every)

    @property
    def pollers(self) -> int:
        """How many batches and pages are polled just now."""
        return self._batches.pollers + self._pages.pollers

    def follow(self, customer: int, batch: str) -> AsyncIterator[Progress]:
        """The batch now and after each look, until it has ended. Raises `NotFound`, also for another customer's."""
        return self._batches.follow((customer, batch))

    def follow_page(self, customer: int, wanted: Page) -> AsyncIterator[list[BatchReport]]:
        """The page of a customer's batches now and after each look, without an end."""
        return self._pages.follow((customer, wanted))

    def _at_batch(self, key: tuple[int, str]) -> Look[Progress]:
        rate = Rate()

        async def look() -> Progress:
            async with single(self._engine.pool) as connection:
                report = await batch_report(self._engine, connection, *key)
            return Progress(report, rate.update(report.done, asyncio.get_running_loop().time()))

        return look

    def _at_page(self, key: tuple[int, Page]) -> Look[list[BatchReport]]:
        async def look() -> list[BatchReport]:
            async with snapshot(self._engine.pool) as connection:
                return await batch_reports(self._engine, connection, *key)

        return look


def _is_last(told: Progress) -> bool:
    return told.report.batch.finished_at is not None
