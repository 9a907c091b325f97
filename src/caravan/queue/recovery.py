"""After a crash: what dead processes had in hand goes on elsewhere, what they left half-written is removed."""

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
from psycopg.errors import UniqueViolation
from psycopg.rows import DictRow

from caravan.every import every
from caravan.queue.deaths import note_death
from caravan.queue.presence import Presence, dead_workers
from caravan.store import sql
from caravan.store.customers import shared_secret
from caravan.store.database import Connection, Pool, row, rows
from caravan.store.process_locks import clear_dead, has_owner, reap

LOOK_EVERY = 2.5  # seconds between two signs of life of a process, and between its looks at the others
_SILENCE = 15.0  # seconds without a sign of life after which a worker is suspected to be gone
_CONFIRM = 5.0  # seconds after which one that is suspected and still silent is gone; the living give two signs in them
_GAP = 2 * LOOK_EVERY  # seconds without the database after which nothing follows from what was seen before
_OLD = 24 * 3600.0  # seconds after which nobody works on a file of this machine any more
_Q = sql.load("caravan.store", "queue.sql")
_log = logging.getLogger(__name__)


class Watch:
    """Looks for workers that are gone, and puts their jobs back into the queue.

    Each process looks for itself, by no job: such a job could be in the hands of one that is gone. One look decides
    nothing: while the database was away or stood still nobody could give a sign of life, and who comes first afterwards
    finds all silent. So a worker is gone if it is still silent at another look, `confirm` seconds later, and this
    process itself reached the database all the time between them.
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
        async with self._pool.connection() as connection:
            asked = self._monotonic()
            silent = await _found(connection, _Q.silent, silence=self._silence)
            suspects = self._suspects if asked - self._reached <= _GAP else {}
            self._reached = self._monotonic()
            new = {each["id"]: (each["heard"], self._reached) for each in silent}
            self._suspects = {worker: _earlier(suspects.get(worker), seen) for worker, seen in new.items()}
            gone = [worker for worker, (_, since) in self._suspects.items() if asked - since >= self._confirm]
            count = await put_back(connection, gone)
            self._reached = self._monotonic()
            return count


def _earlier(before: tuple[datetime, float] | None, now: tuple[datetime, float]) -> tuple[datetime, float]:
    """What was seen before of a worker that was not heard of since."""
    return before if before is not None and before[0] == now[0] else now


async def put_back(connection: Connection, workers: Collection[int]) -> int:
    """Put back the jobs of these workers, and those that are in nobody's hands; how many."""
    count = 0
    for each in await _found(connection, _Q.jobs_of_gone, workers=list(workers)):
        if await _put_back(connection, each, died=True):
            count += 1
            _log.warning("The worker of %s(%s) is gone; the job goes on elsewhere", each["task"], each["args"])
    return count


async def _found(connection: Connection, query: str, **values: Any) -> list[DictRow]:
    """What a query finds, with nothing left open: else all that follows were one transaction, which would keep the
    batches of all the jobs that it puts back locked, in no order."""
    found = await rows(connection, query, **values)
    await connection.commit()
    return found


async def _put_back(connection: Connection, job: DictRow, *, died: bool) -> bool:
    """Put a job back, if it is still in the hands of its worker, or of nobody, in a transaction of its own. `died`: the
    worker did."""
    async with connection.transaction():
        if await row(connection, _Q.lock_job, job=job["id"], worker=job["worker"]) is None:
            return False
        rest = await note_death(connection, job["task"], job["args"]) if died else 0.0
        try:
            async with connection.transaction():
                await connection.execute(_Q.put_back, {"job": job["id"], "rest": rest})
        except UniqueViolation:  # its twin waits in the queue already, and serves as well
            await connection.execute(_Q.drop_job, {"job": job["id"]})
    return True


@asynccontextmanager
async def on_watch(pool: Pool, folder: Path) -> AsyncIterator[Presence]:
    """Be seen on this data folder, and look at once and then every few seconds for workers that are gone."""
    async with pool.connection() as connection:
        database = (await shared_secret(connection, "database"))[:16]
    presence, watch = Presence(folder, database), Watch(pool)
    looks: Mapping[str, Callable[[], Awaitable[object]]] = {
        "put back the jobs of dead processes of this machine": lambda: put_back_jobs_of_the_dead(
            pool, folder, database
        ),
        "look for workers that are gone": watch.look,
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
        async with pool.connection() as connection:
            return await put_back(connection, workers)


class RunningJobs:
    """What this process has in hand: the jobs that its workers, one for each queue, run at the moment.

    A worker can't note the end of a job while the database is away. Such a job stays `doing` for a worker that
    lives on, and its lock would keep its cohort from going on for ever. So the process itself looks which of its
    jobs nobody runs.
    """

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._running: dict[int, asyncio.Task[Any]] = {}
        self._workers: dict[int, int] = {}  # the worker of each job that runs
        self._idle: set[int] = set()  # jobs that nobody ran at the look before

    async def around(self, go_on: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
        """Worker middleware: the job is in hand until its end is noted, or could not be."""
        job, task = context.job.id, asyncio.current_task()
        assert job is not None and task is not None and worker.worker_id is not None
        self._presence.note(worker.worker_id)
        self._running[job], self._workers[job] = task, worker.worker_id
        task.add_done_callback(lambda _: self._drop(job, task))
        return await go_on()

    def _drop(self, job: int, task: asyncio.Task[Any]) -> None:
        if self._running.get(job) is task:
            del self._running[job], self._workers[job]

    async def give_sign(self, pool: Pool, workers: Collection[int]) -> None:
        """A sign of life of these workers, and of those that have stopped and only wait for their jobs' end."""
        async with pool.connection() as connection:
            await connection.execute(_Q.beat, {"workers": [*workers, *self._workers.values()]})

    async def look_after(self, pool: Pool, workers: Collection[int]) -> int:
        """Put back the jobs of these workers that nobody ran at two looks; how many."""
        idle, count = set[int](), 0
        async with pool.connection() as connection:
            for job in await _found(connection, _Q.jobs_of, workers=list(workers)):
                if job["id"] in self._running:
                    continue
                if job["id"] not in self._idle:
                    idle.add(job["id"])
                elif await _put_back(connection, job, died=False):
                    count += 1
                    _log.warning("The end of %s(%s) was not noted; it goes on", job["task"], job["args"])
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
