"""Deferring jobs to Procrastinate, inside the transaction of the state that they belong to."""

from contextlib import suppress
from datetime import datetime

from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job

from caravan.clock import Clock
from caravan.store import batches, turns
from caravan.store.arrivals import GATHER_LOCK
from caravan.store.cohorts import NEVER
from caravan.store.database import Connection
from caravan.store.queues import Queue, Task

_LARGE_FILE = 32 << 20  # bytes; smaller ones are read within a second


class Jobs:
    """The jobs that the engine knows. Each has an identity, so that no two of the same wait in a queue. No two kinds
    share one: a second fetch that waits would else keep out the reading that the first one asks for."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def read(self, connection: Connection, batch: str) -> None:
        """Read the batch's file into cohorts. A large one does so where the spans of very large ones are read: it
        takes seconds to minutes, for which small ones would wait."""
        size = await batches.file_size(connection, batch)
        queue = Queue.SPANS if size > _LARGE_FILE else Queue.INTAKE
        await self._defer(connection, _job(Task.READ, queue, f"batch:{batch}", batch=batch))

    async def fetch(self, connection: Connection, batch: str) -> None:
        """Download the batch's file."""
        await self._defer(connection, _job(Task.FETCH, Queue.FETCH, f"fetch:{batch}", batch=batch))

    async def collect(self, connection: Connection, batch: str) -> None:
        """Take the batch's file out of the store's inbox."""
        await self._defer(connection, _job(Task.COLLECT, Queue.INTAKE, f"collect:{batch}", batch=batch))

    async def span(self, connection: Connection, batch: str, number: int) -> None:
        """Work on one span of the batch's file."""
        await self._defer(
            connection, _job(Task.SPAN, Queue.SPANS, f"span:{batch}:{number}", batch=batch, number=number)
        )

    async def join(self, connection: Connection, batch: str) -> None:
        """Bring the spans of the batch's file together."""
        await self._defer(connection, _job(Task.JOIN, Queue.SPANS, f"join:{batch}", batch=batch))

    async def gather(self, connection: Connection, batch: str) -> None:
        """Gather the singles that wait into a cohort."""
        await self._defer(connection, _job(Task.GATHER, Queue.SINGLES, f"{GATHER_LOCK}{batch}", batch=batch))

    async def advance(
        self, connection: Connection, cohort: int, queue: Queue, due: datetime, turn: int | None = None
    ) -> None:
        """Advance a cohort once it is due and it is its turn (store/turns.py); if only an event can make it due,
        there is nothing to be deferred yet."""
        if due >= NEVER:
            return
        at = self._clock.to_machine(due) if due > self._clock.now() else None
        priority = turns.priority_of(turn)
        job = _job(Task.ADVANCE, queue, f"cohort:{cohort}", priority=priority, scheduled_at=at, cohort=cohort)
        await self._defer(connection, job)

    async def judge_hits(self, connection: Connection, due: datetime) -> None:
        """Judge what came back by links and images, once it is due."""
        at = self._clock.to_machine(due)
        await self._defer(connection, _job(Task.JUDGE, Queue.UPKEEP, "hits", scheduled_at=at))

    async def erase(self, connection: Connection, erasure: int, due: datetime | None = None) -> None:
        """Forget a contact; now, or what is left of it once it is due."""
        at = None if due is None else self._clock.to_machine(due)
        identity = f"erase:{erasure}"
        await self._defer(connection, _job(Task.ERASE, Queue.UPKEEP, identity, scheduled_at=at, number=erasure))

    async def move_waiting(
        self, connection: Connection, customer: int, journey: int, version: int, *, reschedule: bool
    ) -> None:
        """Move those who wait in older versions of a journey into this one."""
        identity = f"move:{customer}:{journey}"
        job = _job(
            Task.MOVE_WAITING,
            Queue.UPKEEP,
            identity,
            customer=customer,
            journey=journey,
            version=version,
            reschedule=int(reschedule),
        )
        await self._defer(connection, job)

    async def _defer(self, connection: Connection, job: Job) -> None:
        # A savepoint: the job that waits already is as good, and must not undo the caller's transaction.
        with suppress(AlreadyEnqueued):
            async with connection.transaction():
                await self._app.job_manager.batch_defer_jobs_async([job], connection)


def _job(
    task: Task,
    queue: Queue,
    identity: str,
    *,
    priority: int = 0,
    scheduled_at: datetime | None = None,
    **arguments: str | int,
) -> Job:
    return Job(
        queue=queue,
        priority=priority,
        lock=identity,
        queueing_lock=identity,
        task_name=task,
        task_kwargs=dict(arguments),
        scheduled_at=scheduled_at,
    )
