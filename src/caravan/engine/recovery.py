"""After a crash: what dead processes had in hand goes on elsewhere, what they left half-written is removed."""

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from procrastinate import JobContext
from procrastinate.worker import Worker
from psycopg.errors import UniqueViolation
from psycopg.rows import DictRow

from caravan.engine.deaths import note_death
from caravan.engine.presence import Presence, departed
from caravan.store import sql
from caravan.store.customers import shared_secret
from caravan.store.database import Connection, Pool, row, rows

LOOK_EVERY = 2.5  # seconds between two signs of life of a process, and between its looks at the others
_SILENCE = 20.0  # seconds without a sign of life after which a worker's jobs go to others
_SUSPECT = 15.0  # the same, while it is not sure that it could have given one
_CONFIRM = 5.0  # seconds after which one that is suspected and still silent is gone
_OLD = 24 * 3600.0  # seconds after which nobody works on a file of this machine any more
_Q = sql.load("caravan.store", "queue.sql")
_log = logging.getLogger(__name__)


class Watch:
    """Looks for workers that are gone, and puts their jobs back into the queue.

    Each process looks for itself, by no job: such a job could be in the hands of one that is gone. Silent for
    `silence` seconds is gone. But if the database was away meanwhile nobody could give a sign of life, and the living
    need a moment to do so: then a worker is gone if it is still silent at a second look.
    """

    def __init__(self, pool: Pool, silence: float = _SILENCE) -> None:
        self._pool = pool
        self._silence = silence
        self._suspects: dict[int, tuple[datetime, float]] = {}  # last heard, and when that was first seen

    async def look(self) -> int:
        """Put back the jobs of workers that have been silent for too long; how many."""
        now = time.monotonic()
        async with self._pool.connection() as connection:
            values = {"silence": self._silence, "suspect": min(_SUSPECT, self._silence)}
            silent = await rows(connection, _Q.silent, **values)
            seen = {each["id"]: self._since(each["id"], each["heard"], now) for each in silent}
            gone = [each["id"] for each in silent if each["sure"] or now - seen[each["id"]][1] >= _CONFIRM]
            self._suspects = seen
            return await put_back(connection, gone)

    def _since(self, worker: int, heard: datetime, now: float) -> tuple[datetime, float]:
        known = self._suspects.get(worker)
        return known if known is not None and known[0] == heard else (heard, now)


async def put_back(connection: Connection, workers: Collection[int]) -> int:
    """Put back the jobs of these workers, and those that are in nobody's hands; how many."""
    count = 0
    for each in await rows(connection, _Q.jobs_of_gone, workers=list(workers)):
        if await _put_back(connection, each, died=True):
            count += 1
            _log.warning("The worker of %s(%s) is gone; the job goes on elsewhere", each["task"], each["args"])
    return count


async def _put_back(connection: Connection, job: DictRow, *, died: bool) -> bool:
    """Put a job back, if it is still in the hands of its worker, or of nobody. `died`: the worker did."""
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
    presence = Presence(folder, database)
    watcher = asyncio.create_task(_keep_looking(pool, folder, database))
    try:
        yield presence
    finally:
        watcher.cancel()
        presence.close()


async def _keep_looking(pool: Pool, folder: Path, database: str) -> None:
    watch = Watch(pool)
    while True:
        try:
            await put_back_of_departed(pool, folder, database)
            await watch.look()
        except Exception as error:
            _log.warning("Can't look for workers that are gone just now: %s", error)
        await asyncio.sleep(LOOK_EVERY)


async def put_back_of_departed(pool: Pool, folder: Path, database: str) -> int:
    """Put back the jobs of processes of this data folder that are certainly dead; how many."""
    with departed(folder, database) as workers:
        if not workers:
            return 0
        async with pool.connection() as connection:
            return await put_back(connection, workers)


class Hands:
    """What this process has in hand: the jobs that its workers, one for each lane, run at the moment.

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
            for job in await rows(connection, _Q.jobs_of, workers=list(workers)):
                if job["id"] in self._running:
                    continue
                if job["id"] not in self._idle:
                    idle.add(job["id"])
                elif await _put_back(connection, job, died=False):
                    count += 1
                    _log.warning("The end of %s(%s) was not noted; it goes on", job["task"], job["args"])
        self._idle = idle
        return count


def clear_old(folder: Path, seconds: float = _OLD) -> None:
    """Remove what a process that was killed left half-written, once it is older than any work. Safe at any time."""
    before = time.time() - seconds
    for name in ("scratch", "uploads"):
        for left in (folder / name).glob("*"):
            if max(_changed(each) for each in (left, *left.rglob("*"))) < before:
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _changed(path: Path) -> float:
    """When it was written last; one that goes away just now counts as new."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def clear_folder(folder: Path) -> None:
    """Remove files half-written by a killed process. Only while no other process works on this data folder."""
    for name in ("scratch", "uploads"):
        shutil.rmtree(folder / name, ignore_errors=True)
