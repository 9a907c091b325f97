"""Procrastinate's job manager, for workers that outlive an outage of their database and may be taken for dead."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any, LiteralString

from procrastinate import App, PsycopgConnector
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager, NotificationCallback
from procrastinate.utils import utcnow

from caravan.queue import transient
from caravan.queue.wakeups import Wakeups
from caravan.store.database import Pool
from caravan.store.jobs import FINISH_OWN, RETRY_OWN

_log = logging.getLogger(__name__)


def queue_app() -> App:
    """A Procrastinate app whose connector takes the pool that `open_async` is given."""
    app = App(connector=PsycopgConnector())
    app.job_manager = ResilientJobManager(app.connector)
    return app


class ResilientJobManager(JobManager):
    """Procrastinate's job manager, but for three things. While the database is away it waits, instead of ending the
    worker. It notes the end of a job only for the worker that still has it. And the workers of a process are woken
    together (wakeups.py), instead of each polling and listening by itself."""

    def __init__(self, connector: BaseConnector) -> None:
        super().__init__(connector)
        self._wakeups = Wakeups()
        self._deferred: dict[tuple[str, str], int] = {}  # when each chore was deferred last
        self.before_fetch: Callable[[int], None] = lambda worker: None  # told which worker may get a job next

    @asynccontextmanager
    async def waking(self, pool: Pool, queues: Collection[str]) -> AsyncIterator[None]:
        """Wake the workers of these queues when there is a job for them, as long as the block lasts."""
        async with self._wakeups.running(self._listen, pool, queues):
            yield

    async def _listen(self, callback: NotificationCallback, queues: Collection[str]) -> None:
        with _tolerate_outage("listen for jobs"):
            await super().listen_for_jobs(on_notification=callback, queues=queues)

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """See `JobManager`; none while the database is away, so that the worker looks again soon.

        The worker forgets a wake-up that comes while it fetches (Procrastinate 3.10), so then this looks once more.
        """
        names = list(queues or ())
        self.before_fetch(worker_id)
        with _tolerate_outage("look for jobs"):
            while True:
                news = self._wakeups.count(names)
                job = await super().fetch_job(queues, worker_id)
                if job is not None or self._wakeups.count(names) == news:
                    return job
        return None

    async def defer_periodic_job(self, job: Job, periodic_id: str, defer_timestamp: int) -> int | None:
        """See `JobManager`; a chore that falls due while the database is away is left out this time. Of the workers of
        a process, all of which ask for it, only the first one gets to the database."""
        key = job.task_name, periodic_id
        if self._deferred.get(key) == defer_timestamp:
            return None
        self._deferred[key] = defer_timestamp
        with _tolerate_outage("defer chores"):
            return await super().defer_periodic_job(job, periodic_id, defer_timestamp)
        return None

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """See `JobManager`; all workers of a process share one connection (`waking`)."""
        await self._wakeups.attend(on_notification, list(queues or ()))

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:
        """See `JobManager`; none while the database is away, where the worker would log a traceback every 5 s."""
        with _tolerate_outage("look for jobs to abort"):
            return await super().list_jobs_to_abort_async(queue)
        return []

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """See `JobManager`; nothing happens if another worker has the job meanwhile."""
        if await self._note(job, FINISH_OWN, status=status.value, delete=delete_job):
            await self._wakeups.wake(job.queue)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """See `JobManager`; nothing happens if another worker has the job meanwhile."""
        await self._note(job, RETRY_OWN, at=retry_at or utcnow(), priority=priority, queue=queue, lock=lock)
        self._wakeups.look_again()

    async def _note(self, job: Job, query: LiteralString, **values: Any) -> bool:
        """Whether another job waits that could not run beside this one."""
        noted = await self.connector.execute_query_all_async(query, job=job.id, worker=job.worker_id, **values)
        if not noted:
            _log.warning("%s went to another worker meanwhile", job.call_string)
        return any(each["successor"] for each in noted)


@contextmanager
def _tolerate_outage(what: str) -> Iterator[None]:
    """The caller will ask again, so it is no reason to end that the database is away."""
    try:
        yield
    except ConnectorException as error:
        if not transient.is_transient(error):
            raise
        _log.warning("Can't %s just now: %s", what, " ".join(str(error.__cause__).split()))
