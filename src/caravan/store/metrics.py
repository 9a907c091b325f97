"""The totals of what all processes of an installation counted, in PostgreSQL."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from caravan.metrics import Metrics, Sample
from caravan.store import sql
from caravan.store.database import Connection, Pool, row, rows

_EVERY = 5.0  # seconds between two looks for what a process counted
_HEARD = 15.0  # seconds for which a worker that gave a sign of life counts as living
_Q = sql.load("caravan.store", "metrics.sql")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """Signs of life of workers; ages in seconds, None where there is no such worker."""

    heard: int
    last: float | None  # since any worker was heard
    silent: float | None  # the longest since one with running jobs was heard


async def add(connection: Connection, changes: Sequence[Sample]) -> None:
    """Add to the totals, with what `count` left."""
    columns = {
        "names": [each.name for each in changes],
        "labels": [json.dumps(dict(each.labels)) for each in changes],
        "values": [each.value for each in changes],
    }
    await connection.execute(_Q.add, columns)


async def count(connection: Connection, name: str, value: float = 1, **labels: str) -> None:
    """Count something in the transaction in which it happens. `name` has its ending."""
    await connection.execute(_Q.count, {"name": name, "labels": json.dumps(labels), "value": value})


async def totals(connection: Connection) -> list[Sample]:
    """All totals, in no order."""
    found = await rows(connection, _Q.totals)
    return [Sample(each["name"], tuple(sorted(each["labels"].items())), each["value"]) for each in found]


async def heartbeats(connection: Connection) -> Heartbeats:
    """When workers were last heard."""
    found = await row(connection, _Q.workers, seconds=_HEARD)
    assert found is not None
    return Heartbeats(**found)


async def report(pool: Pool, metrics: Metrics) -> None:
    """Add what this process has counted since the last report, if it has."""
    if changes := metrics.changes():
        async with pool.connection() as connection:
            await add(connection, changes)
        metrics.note(changes)


@asynccontextmanager
async def reported(pool: Pool, metrics: Metrics) -> AsyncIterator[None]:
    """Report every few seconds until the end of the block, and once more there. What is counted while the database is
    away is reported later."""

    async def keep_reporting() -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await _try(pool, metrics)

    reporter = asyncio.create_task(keep_reporting())
    try:
        yield
    finally:
        reporter.cancel()
        with suppress(asyncio.CancelledError):
            await reporter
        await _try(pool, metrics)


async def _try(pool: Pool, metrics: Metrics) -> None:
    try:
        await report(pool, metrics)
    except Exception as error:  # figures are not worth a failure; that the database is away is told elsewhere
        _log.debug("Can't report metrics just now: %s", error)
