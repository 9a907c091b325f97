"""Chores in the background: PUTs whose process died and old keys are forgotten, overdue uploads expire, rows without
their job get it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from caravan.engine import caps, contact_index, crossing, direct, erasure, matching, receiving, retention
from caravan.engine.engine import Engine
from caravan.engine.openings import queue_of
from caravan.store import batches, cohorts, entries, events, hits, idempotency, returns, sandbox, sms_threads
from caravan.store.batches import BatchState

_KEY_LIFE = timedelta(hours=24)
_GRACE = timedelta(seconds=60)
_THREAD_LIFE = timedelta(days=180)  # after the last message to it
_TOKEN_LIFE = timedelta(days=2)  # longer than a webhook is taken (returns/providers/mailgun.py)
_SOFT_LIFE = timedelta(days=90)  # longer than soft bounces count (returns/take.py)
_DAYS_AHEAD = 3  # for which events have their partitions already
_log = logging.getLogger(__name__)


async def tidy(engine: Engine, stopping: asyncio.Event | None = None) -> None:
    """All chores. One that fails is done again at the next round, and holds up no other."""
    chores = [receiving.forget_silent, expire_uploads, requeue_missing_jobs, forget_keys, trim_sandbox]
    chores += [make_event_days, forget_events, matching.requeue_matching, matching.forget_copies, erasure.requeue]
    chores += [forget_entries, forget_returns, forget_threads, forget_hits, caps.forget_counts, crossing.end_unused]
    ask_the_store = [retention.delete_read_files, retention.forget_outlived, retention.sweep, direct.sweep]
    ask_the_store.append(contact_index.keep_up)
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
        await idempotency.forget_old(connection, engine.clock.now() - _KEY_LIFE)


async def trim_sandbox(engine: Engine) -> None:
    """The sandbox keeps a message for some days."""
    async with engine.pool.connection() as connection:
        await sandbox.trim_old(connection, engine.settings.sandbox_days)


async def make_event_days(engine: Engine) -> None:
    """Events of the days to come find their partitions."""
    async with engine.pool.connection() as connection:
        await events.make_partitions(connection, _DAYS_AHEAD)


async def forget_events(engine: Engine) -> None:
    """Events are kept for some days, and their keys for as long."""
    days = engine.settings.event_days
    async with engine.pool.connection() as connection:
        await events.drop_outlived(connection, days)
    more = True
    while more:
        async with engine.pool.connection() as connection:
            more = await events.forget_keys(connection, days)


async def forget_entries(engine: Engine) -> None:
    """Who entered a journey is known for as long as its rule needs that."""
    async with engine.pool.connection() as connection:
        await entries.forget(connection, engine.clock.now())


async def forget_threads(engine: Engine) -> None:
    """A phone number that answers is known for some months."""
    async with engine.pool.connection() as connection:
        await sms_threads.forget(connection, engine.clock.now() - _THREAD_LIFE)


async def forget_returns(engine: Engine) -> None:
    """Messages that came back are kept for some days; tokens of webhooks and rows of soft bounces for as long as they
    can matter."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        await returns.forget_tokens(connection, now - _TOKEN_LIFE)
        await returns.trim_soft(connection, now - _SOFT_LIFE)
    more = True
    while more:
        async with engine.pool.connection() as connection:
            more = await returns.trim(connection, now - timedelta(days=engine.settings.bounce_days))


async def forget_hits(engine: Engine) -> None:
    """Hits on links and images are kept for some days."""
    before, more = engine.clock.now() - timedelta(days=engine.settings.hit_days), True
    while more:
        async with engine.pool.connection() as connection:
            more = await hits.forget_old(connection, before)


async def expire_uploads(engine: Engine) -> None:
    """Batches whose file did not come in time have expired."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        for each in await batches.overdue_uploads(connection, now):
            async with connection.transaction():
                batch = await batches.lock(connection, each)
                if batch.state in (BatchState.AWAITING_UPLOAD, BatchState.RECEIVING):
                    sentence = "No file came within 12 hours; POST to batchtrigger/v2 for a new uploadUrl."
                    await batches.end(connection, batch.id, BatchState.EXPIRED, now, error=sentence)


async def requeue_missing_jobs(engine: Engine) -> None:
    """Give a job to each row that should have one. A row and its job are written in one transaction, so this mends what
    was done by hand, or by a fault of ours. Where a job waits or runs already, a second one does nothing."""
    async with engine.pool.connection() as connection:
        for cohort in await cohorts.without_job(connection, engine.clock.now() - _GRACE):
            journey = await engine.journeys.get(connection, cohort.customer, cohort.journey, cohort.version)
            queue = queue_of(journey, cohort.step, cohort.provider)
            await engine.jobs.advance(connection, cohort.id, queue, cohort.due_at, cohort.turn)
        for batch in await batches.with_arrivals(connection):
            await engine.jobs.gather(connection, batch)
        for batch, state in await batches.with_unread_file(connection):  # `read` defers the jobs of its spans
            await (engine.jobs.read if state == BatchState.READING else engine.jobs.fetch)(connection, batch)
