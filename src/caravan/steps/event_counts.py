"""What contacts did, counted, for steps that choose by it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from caravan.journeys.segment_tree import Counted
from caravan.store import events
from caravan.store.database import Pool


class EventCounts:
    """Counts the events of a customer's contacts. Made in a coroutine, for threads that work for it."""

    def __init__(self, pool: Pool, customer: int) -> None:
        self._pool, self._customer = pool, customer
        self._loop = asyncio.get_running_loop()

    def with_counts(self, contacts: pa.Table, asked: Sequence[Counted], now: datetime) -> pa.Table:
        """The contacts with a column for each count, as of `now`. Blocks, but never the loop."""
        ids = contacts["id"].to_pylist() if asked else []
        for each in asked:
            found = asyncio.run_coroutine_threadsafe(self._count(ids, each, now), self._loop).result()
            contacts = contacts.append_column(each.column, pa.array([found.get(id, 0) for id in ids], pa.int64()))
        return contacts

    async def _count(self, ids: Sequence[str], asked: Counted, now: datetime) -> dict[str, int]:
        since = None if asked.period is None else (-asked.period).after(now)
        async with self._pool.connection() as connection:
            return await events.count_of_contacts(connection, self._customer, ids, asked.event, since, now)
