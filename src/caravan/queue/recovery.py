"""After a crash: the jobs of dead processes go on elsewhere, what they left half-written is removed."""

import asyncio
import logging
import math
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from procrastinate import JobContext
from procrastinate.worker import Worker
from structlog.contextvars import bind_contextvars

from caravan.every import every
from caravan.queue.deaths import note_death
from caravan.queue.presence import Presence, dead_workers
from caravan.store import jobs, metrics
from caravan.store.customers import shared_secret
from caravan.store.database import Pool
from caravan.store.jobs import RunningJob
from caravan.store.process_locks import clear_dead, has_owner, reap

LOOK_EVERY = 2.5  # seconds between two heartbeats of a process, and between its looks at the others
_SILENCE = 15.0  # seconds without a heartbeat after which a worker is suspected to be dead
_CONFIRM = 5.0  # seconds after which one that is suspected and still silent is dead; the living give two heartbeats
_GAP = 2 * LOOK_EVERY  # seconds without the database after which nothing follows from what was seen before
_OLD = 24 * 3600.0  # seconds after which no process works on a file of this machine any more
_NAMED = frozenset({"batch", "cohort"})  # arguments of a job that each line of its log has
_log = logging.getLogger(__name__)


class Watch:
    """Looks for dead workers, and puts their jobs back into the queue.

    Each process looks for itself, by no job: a dead worker could have claimed such a job. One look decides nothing:
    while the database was away or stood still no worker could give a heartbeat, and the first look afterwards finds all
    silent. So a worker is dead if it is still silent at another look, `confirm` seconds later, and this process itself
    reached the database all the time between them.
    """

    def __init__(
        self,
        pool: Pool,
        silence: float = _SILENCE,
        confirm: float = _CONFIRM,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool, self._silence, self._confirm, self._monotonic = pool, silence, confirm, monotonic
        self._reached = -math.inf  # when this process last reached the database
        self._suspects: dict[int, tuple[datetime, float]] = {}  # last heard, and when that was first seen

    async def look(self) -> int:
        """Put back the jobs of workers that have been silent for too long; how many."""
        asked = self._monotonic()
        silent = await jobs.silent(self._pool, self._silence)
        suspects = self._suspects if asked - self._reached <= _GAP else {}
        self._reached = self._monotonic()
        new = {worker: (heard, self._reached) for worker, heard in silent.last_heard.items()}
        self._suspects = {worker: _earlier(suspects.get(worker), seen) for worker, seen in new.items()}
        dead = [worker for worker, (_, since) in self._suspects.items() if asked - since >= self._confirm]
        if not dead and not silent.without_worker:
            return 0
        count = await put_back(self._pool, dead)
        self._reached = self._monotonic()
        return count


def _earlier(before: tuple[datetime, float] | None, now: tuple[datetime, float]) -> tuple[datetime, float]:
    """What was seen before of a worker that was not heard of since."""
    return before if before is not None and before[0] == now[0] else now


async def put_back(pool: Pool, workers: Collection[int]) -> int:
    """Put back the jobs of these workers, and those of none; how many."""
    count = 0
    for job in await jobs.orphaned(pool, workers):
        if await _put_back(pool, job, died=True):
            count += 1
            _log.warning("The worker of %s is gone; the job goes on elsewhere", job)
    return count


async def _put_back(pool: Pool, job: RunningJob, *, died: bool) -> bool:
    """Put a job back, if it still belongs to its worker, or to none, in a transaction of its own: else the batches of
    all jobs that are put back would stay locked together, in no order. `died`: the worker did."""
    async with pool.connection() as connection, connection.transaction():
        if not await jobs.lock(connection, job):
            return False
        rest = await note_death(connection, job.task, job.arguments) if died else 0.0
        await jobs.put_back(connection, job, rest)
        await metrics.count(
            connection, "caravan_jobs_put_back_total", reason="worker_died" if died else "end_not_noted"
        )
        if died:
            await metrics.count(connection, "caravan_job_deaths_total")
    return True


@asynccontextmanager
async def on_watch(pool: Pool, folder: Path) -> AsyncIterator[Presence]:
    """Be seen on this data folder, and look at once and then every few seconds for dead workers."""
    async with pool.connection() as connection:
        database = (await shared_secret(connection, "database"))[:16]
    presence, watch = Presence(folder, database), Watch(pool)
    looks: Mapping[str, Callable[[], Awaitable[object]]] = {
        "put back the jobs of dead processes of this machine": lambda: put_back_jobs_of_the_dead(
            pool, folder, database
        ),
        "look for dead workers": watch.look,
        "remove what dead processes left": lambda: asyncio.to_thread(clear_left, folder),
    }
    try:
        async with AsyncExitStack() as watchers:  # each by itself: none waits for another's trouble
            for what, look in looks.items():
                await watchers.enter_async_context(every(LOOK_EVERY, look, what, at_once=True))
            yield presence
    finally:
        presence.close()


async def put_back_jobs_of_the_dead(pool: Pool, folder: Path, database: str) -> int:
    """Put back the jobs of processes of this data folder that are certainly dead; how many."""
    with dead_workers(folder, database) as workers:
        if not workers:
            return 0
        return await put_back(pool, workers)


class RunningJobs:
    """The jobs that the workers of this process, one for each queue, run at the moment.

    A worker can't note the end of a job while the database is away. Such a job stays `doing` for a worker that
    lives on, and its lock would keep its cohort from going on for ever. So the process itself looks which of its
    jobs no task runs.
    """

    def __init__(self) -> None:
        self._running: dict[int, asyncio.Task[Any]] = {}
        self._workers: dict[int, int] = {}  # the worker of each job that runs
        self._idle: set[int] = set()  # jobs that no task ran at the look before

    async def around(self, go_on: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
        """Worker middleware: the job runs until its end is noted, or could not be."""
        job, task = context.job.id, asyncio.current_task()
        assert job is not None and task is not None and worker.worker_id is not None
        # Not unbound: the task is this job's alone, and how it ended is logged after this.
        bind_contextvars(**{name: context.job.task_kwargs[name] for name in _NAMED & context.job.task_kwargs.keys()})
        self._running[job], self._workers[job] = task, worker.worker_id
        task.add_done_callback(lambda _: self._drop(job, task))
        return await go_on()

    def _drop(self, job: int, task: asyncio.Task[Any]) -> None:
        if self._running.get(job) is task:
            del self._running[job], self._workers[job]

    async def look_after(self, pool: Pool, workers: Collection[int]) -> int:
        """Give a heartbeat of these workers, and of those that have stopped and only wait for their jobs' end. Put back
        the jobs of these workers that no task ran at two looks; how many."""
        idle, count = set[int](), 0
        for job in await jobs.beat(pool, [*workers, *self._workers.values()], workers):
            if job.id in self._running:
                continue
            if job.id not in self._idle:
                idle.add(job.id)
            elif await _put_back(pool, job, died=False):
                count += 1
                _log.warning("The end of %s was not noted; it goes on", job)
        self._idle = idle
        return count


def clear_left(folder: Path) -> None:
    """Remove what processes of this data folder that are dead left half-written. Safe at any time."""
    for name in ("scratch", "uploads", "downloads"):
        clear_dead(folder / name)
    clear_old(folder)


def clear_old(folder: Path, seconds: float = _OLD) -> None:
    """The same for what older versions left, which lies in no process's own folder: once it is older than any work, but
    for downloads, which had locks already."""
    before = time.time() - seconds
    for name in ("scratch", "uploads"):
        for left in (folder / name).glob("*"):
            if not has_owner(left) and max(_changed(each) for each in (left, *left.rglob("*"))) < before:
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    for lock, file in reap(folder / "downloads", "files-*/.in-use"):
        shutil.rmtree(lock.parent, ignore_errors=True)
        file.close()


def _changed(path: Path) -> float:
    """When it was written last; one that goes away just now counts as new."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
