"""After a crash: what dead processes had in hand goes on elsewhere, what they left half-written is removed."""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.worker import Worker

HEARTBEAT = 5.0  # seconds between two signs of life of a worker
STALLED_AFTER = 20.0  # seconds without one after which its jobs go to others
_OLD = 24 * 3600.0  # seconds after which nobody works on a file of this machine any more
_log = logging.getLogger(__name__)


def queue_app() -> App:
    """A Procrastinate app whose connector takes the pool that `open_async` is given."""
    return App(connector=PsycopgConnector())


async def recover(app: App, seconds: float) -> int:
    """Put the jobs of workers that gave no sign of life for `seconds` back into their queues; how many."""
    count = 0
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=seconds):
        await _put_back(app, job)
        count += 1
        _log.warning("The worker of %s is gone; the job goes on elsewhere", job.call_string)
    return count


async def _put_back(app: App, job: Job) -> None:
    try:
        await app.job_manager.retry_job(job)
    except ConnectorException:  # its twin waits in the queue already, and serves as well
        await app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)


class Hands:
    """What this process has in hand: the jobs that its workers, one for each lane, run at the moment.

    A worker can't note the end of a job while the database is away. Such a job stays `doing` for a worker that
    lives on, and its lock would keep its cohort from going on for ever. So the process itself looks which of its
    jobs nobody runs.
    """

    def __init__(self) -> None:
        self._running: dict[int, asyncio.Task[Any]] = {}
        self._workers: dict[int, int] = {}  # the worker of each job that runs
        self._idle: set[int] = set()  # jobs that nobody ran at the look before

    async def around(self, go_on: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
        """Worker middleware: the job is in hand until its end is noted, or could not be."""
        job, task = context.job.id, asyncio.current_task()
        assert job is not None and task is not None and worker.worker_id is not None
        self._running[job], self._workers[job] = task, worker.worker_id
        task.add_done_callback(lambda _: self._drop(job, task))
        return await go_on()

    def _drop(self, job: int, task: asyncio.Task[Any]) -> None:
        if self._running.get(job) is task:
            del self._running[job], self._workers[job]

    async def look_after(self, app: App, workers: set[int]) -> int:
        """Give signs of life for all jobs in hand, also where their worker has broken down and only waits for
        their end; put back the jobs of these `workers` that nobody ran at two looks; how many."""
        for worker in set(self._workers.values()):
            await app.job_manager.update_heartbeat(worker)
        idle, count = set[int](), 0
        for worker in workers:
            for job in await app.job_manager.list_jobs_async(status="doing", worker_id=worker):
                assert job.id is not None
                if job.id in self._running:
                    continue
                if job.id not in self._idle:
                    idle.add(job.id)
                    continue
                await _put_back(app, job)
                count += 1
                _log.warning("The end of %s was not noted; it goes on", job.call_string)
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
