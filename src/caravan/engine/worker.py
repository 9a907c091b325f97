"""A worker: one Procrastinate worker for each queue, in one process."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import duckdb
from procrastinate import App
from procrastinate.worker import Worker

from caravan.channels.relays import Relays
from caravan.delivery.channel_type import open_channels
from caravan.delivery.pacer import Pacer
from caravan.delivery.tools import DeliveryTools, Pacing
from caravan.engine.engine import Engine
from caravan.engine.tasks import register
from caravan.every import every
from caravan.queue.job_manager import ResilientJobManager
from caravan.queue.recovery import LOOK_EVERY, RunningJobs, on_watch
from caravan.settings import Settings
from caravan.store import routes
from caravan.store.database import Pool
from caravan.store.queues import Queue

#: Jobs of a queue that one worker runs at once; each chore has a place, so that none waits for a slow store's, and
#: senders of what is paced mostly wait for its slots.
CONCURRENCY: Mapping[str, int] = {
    Queue.FETCH: 8,
    Queue.INTAKE: 1,
    Queue.SPANS: 1,
    Queue.SINGLES: 2,
    Queue.ADVANCE: 2,
    Queue.DELIVER: 4,
    Queue.PACED: 16,
    Queue.UPKEEP: 3,
}
_POLL = 60.0  # seconds between two looks of a worker for jobs of which nothing woke it
_DAY = 24 * 3600.0
_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def tools_of(engine: Engine) -> AsyncIterator[DeliveryTools]:
    """The tools of a worker, with its channels open."""
    settings = engine.settings
    async with open_channels(engine.channels, settings) as channels:
        await _keep_rules(engine, channels)
        with contextlib.closing(open_duckdb(settings)) as duck:
            yield DeliveryTools(
                pool=engine.pool,
                files=engine.files,
                scratch=engine.scratch,
                traces=settings.folder / "traces",
                clock=engine.clock,
                duck=duck,
                channels=channels,
                pacing=Pacing(settings.window_size, settings.retry_delay, settings.retry_hours),
                pacer=Pacer(engine.pool, engine.clock),
                gates=[make(engine.pool, engine.clock) for make in engine.gates],
                metrics=engine.metrics,
                public_url=settings.links_url,
            )


async def _keep_rules(engine: Engine, channels: Mapping[str, Any]) -> None:
    """Let the rates of the operator's file of providers hold for all workers."""
    for name, channel in channels.items():
        if isinstance(channel, Relays):
            rates = [(each.name, each.limits) for each in channel.directory.providers if each.limits is not None]
            async with engine.pool.connection() as connection:
                await routes.keep_rules(connection, name, rates, engine.clock.now())


def open_duckdb(settings: Settings) -> duckdb.DuckDBPyConnection:
    """DuckDB for segments: in memory, bounded, with no way to anything outside of itself."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": settings.duckdb_memory,
        "threads": 1,  # for each query; a cohort is one row group, which is the work of one
        "enable_external_access": False,
    }
    return duckdb.connect(config=config)


async def work(app: App, engine: Engine, queues: Mapping[str, int], stop: asyncio.Event) -> None:
    """Run jobs of the given queues, {queue: jobs at once}, until `stop` is set; then end soon and cleanly."""
    async with tools_of(engine) as tools, on_watch(engine.pool, engine.settings.folder) as presence:
        register(app, engine, tools)
        jobs, at_work, manager = RunningJobs(), dict[str, Worker](), app.job_manager
        assert isinstance(manager, ResilientJobManager)
        manager.before_fetch = presence.note
        running = [
            asyncio.create_task(_run_queue(app, queue, size, stop, jobs, at_work)) for queue, size in queues.items()
        ]
        async with (
            manager.waking(engine.pool, queues),
            every(LOOK_EVERY, lambda: _look_after(engine.pool, jobs, at_work), "look after this process's jobs"),
        ):
            await stop.wait()
            tools.stopping.set()
            await asyncio.gather(*running)


async def _look_after(pool: Pool, jobs: RunningJobs, at_work: Mapping[str, Worker]) -> None:
    """Give a heartbeat, and look after the jobs of this process."""
    workers = {worker.worker_id for worker in at_work.values() if worker.worker_id is not None}
    await jobs.look_after(pool, workers)


async def _run_queue(
    app: App, queue: str, concurrency: int, stop: asyncio.Event, jobs: RunningJobs, at_work: dict[str, Worker]
) -> None:
    """One queue's worker; if it breaks down, as when the database goes away, another takes its place."""
    while not stop.is_set():
        at_work[queue] = worker = Worker(
            app=app,
            queues=[queue],
            name=queue,
            concurrency=concurrency,
            fetch_job_polling_interval=_POLL,
            install_signal_handlers=False,
            delete_jobs="always",
            update_heartbeat_interval=_DAY,  # the process gives one heartbeat for all its queues itself
            stalled_worker_timeout=_DAY,  # nor does it forget workers that may only have been silent
            worker_middleware=[jobs.around],
        )
        stopper = asyncio.create_task(_stop_with(worker, stop))
        try:
            await worker.run()  # type: ignore[no-untyped-call]
        except Exception:
            _log.exception("The worker of queue %s broke down; another starts in a second", queue)
        finally:
            stopper.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1)


async def _stop_with(worker: Worker, stop: asyncio.Event) -> None:
    await stop.wait()
    worker.stop()  # type: ignore[no-untyped-call]
