"""Procrastinate's rows, where its own queries do not say what we ask."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import UniqueViolation
from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, Pool, row, rows, single

_Q = sql.load("caravan.store", "jobs.sql")
FINISH_OWN, RETRY_OWN = _Q.finish_own, _Q.retry_own  # run by Procrastinate's connector (queue/job_manager.py)


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs of a queue have a status, "todo" or "doing"."""

    queue: str
    status: str
    jobs: int


@dataclass(frozen=True, slots=True)
class NextDue:
    """When a queue has work: now, and then in so many seconds (None: nothing is scheduled)."""

    queue: str
    ready: bool
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker runs, or that none does any more."""

    id: int
    worker: int | None
    task: str
    arguments: Mapping[str, object]

    def __str__(self) -> str:
        return f"{self.task}({', '.join(f'{name}={value}' for name, value in self.arguments.items())})"


@dataclass(frozen=True, slots=True)
class Silent:
    """Workers that run jobs without a heartbeat, with the time of their last; and whether jobs run without a worker."""

    last_heard: Mapping[int, datetime]
    without_worker: bool


async def hasten(connection: Connection, cohorts: Collection[int]) -> None:
    """Let the jobs of these cohorts that wait for a later time run now."""
    if cohorts:
        await connection.execute(_Q.hasten, {"cohorts": list(cohorts)})


async def by_queue(connection: Connection) -> list[JobCount]:
    """The jobs that wait and run, by queue and status."""
    return [JobCount(**each) for each in await rows(connection, _Q.by_queue)]


async def next_due(pool: Pool, queues: Collection[str]) -> list[NextDue]:
    """When each of these queues has work."""
    async with single(pool) as connection:
        return [NextDue(**each) for each in await rows(connection, _Q.next_due, queues=list(queues))]


async def beat(pool: Pool, workers: Collection[int], looked_after: Collection[int]) -> list[RunningJob]:
    """Give a heartbeat for `workers`; the jobs that those of `looked_after` run, as far as the database knows."""
    async with single(pool) as connection:
        found = await rows(connection, _Q.beat, workers=list(workers), looked_after=list(looked_after))
        return [_running(each) for each in found]


async def silent(pool: Pool, silence: float) -> Silent:
    """The workers that run jobs and have given no heartbeat for so many seconds."""
    async with single(pool) as connection:
        found = await rows(connection, _Q.silent, silence=silence)
    last_heard = {each["id"]: each["heard"] for each in found if each["id"] is not None}
    return Silent(last_heard, without_worker=len(last_heard) < len(found))


async def orphaned(pool: Pool, workers: Collection[int]) -> list[RunningJob]:
    """The jobs of these workers, and those of none."""
    async with single(pool) as connection:
        return [_running(each) for each in await rows(connection, _Q.orphaned, workers=list(workers))]


async def lock(connection: Connection, job: RunningJob) -> bool:
    """Lock a job until the end of the transaction; False if it is another's by now, or another process locks it."""
    return await row(connection, _Q.lock, job=job.id, worker=job.worker) is not None


async def put_back(connection: Connection, job: RunningJob, rest: float) -> None:
    """Have a locked job run again after `rest` seconds. If the same job waits already, this one is not needed."""
    try:
        async with connection.transaction():
            await connection.execute(_Q.put_back, {"job": job.id, "rest": rest})
    except UniqueViolation:
        await connection.execute(_Q.drop, {"job": job.id})


def _running(found: DictRow) -> RunningJob:
    return RunningJob(found["id"], found["worker"], found["task"], found["args"])
