"""Chores that nobody waits for: PUTs whose process died and old keys are forgotten, overdue uploads expire, cohorts
without a job get one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from caravan.engine import direct, receiving, retention
from caravan.engine.advance import queue_of
from caravan.engine.engine import Engine
from caravan.store import batches, sql
from caravan.store.batches import BatchState
from caravan.store.database import rows

_KEY_LIFE = timedelta(hours=24)
_GRACE = timedelta(seconds=60)
_BATCHES = sql.load("caravan.store", "batches.sql")
_COHORTS = sql.load("caravan.store", "cohorts.sql")
_KEYS = sql.load("caravan.store", "idempotency.sql")
_log = logging.getLogger(__name__)


async def tidy(engine: Engine, stopping: asyncio.Event | None = None) -> None:
    """All chores that nobody waits for. One that fails is done again at the next round, and holds up no other."""
    chores = [receiving.forget_silent, expire_uploads, requeue_missing_jobs, forget_keys]
    ask_the_store = [retention.delete_read_files, retention.forget_outlived, retention.sweep, direct.sweep]
    for chore in chores + ask_the_store:
        if stopping is not None and stopping.is_set():
            return
        await _attempt(engine, chore)


async def _attempt(engine: Engine, chore: Callable[[Engine], Awaitable[None]]) -> None:
    try:
        await chore(engine)
    except Exception as error:
        _log.warning("Can't %s just now: %s", chore.__name__.replace("_", " "), error)


async def forget_keys(engine: Engine) -> None:
    """Idempotency keys hold for a day."""
    async with engine.pool.connection() as connection:
        await connection.execute(_KEYS.forget_old, {"before": engine.clock.now() - _KEY_LIFE})


async def expire_uploads(engine: Engine) -> None:
    """Batches whose file did not come in time have expired."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        for each in await rows(connection, _BATCHES.overdue_uploads, now=now):
            async with connection.transaction():
                batch = await batches.lock(connection, each["id"])
                if batch.state in (BatchState.AWAITING_UPLOAD, BatchState.RECEIVING):
                    sentence = "No file came within 12 hours; POST to batchtrigger/v2 for a new uploadUrl."
                    await batches.end(connection, batch.id, BatchState.EXPIRED, now, error=sentence)


async def requeue_missing_jobs(engine: Engine) -> None:
    """Give a job to whatever should have one, in case it was lost. Where one waits or runs already, nothing comes
    of the second."""
    async with engine.pool.connection() as connection:
        for each in await rows(connection, _COHORTS.loose, now=engine.clock.now() - _GRACE):
            journey = await engine.journeys.get(connection, each["customer_id"], each["journey_id"], each["version"])
            queue = queue_of(journey, each["step"])
            await engine.jobs.advance(connection, each["id"], queue, each["due_at"], each["turn"])
        for each in await rows(connection, _BATCHES.with_arrivals):
            await engine.jobs.gather(connection, each["id"])
        for each in await rows(connection, _BATCHES.unread):
            await (engine.jobs.read if each["state"] == BatchState.READING else engine.jobs.fetch)(
                connection, each["id"]
            )
