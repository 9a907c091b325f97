"""Procrastinate's job manager, for workers that outlive their database and that others may take for dead."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.utils import utcnow

from caravan.queue import transient
from caravan.store import sql

_LISTEN_AGAIN = 1.0  # seconds
_Q = sql.load("caravan.store", "queue.sql")
_log = logging.getLogger(__name__)


def queue_app() -> App:
    """A Procrastinate app whose connector takes the pool that `open_async` is given."""
    app = App(connector=PsycopgConnector())
    app.job_manager = ResilientJobManager(app.connector)
    return app


class ResilientJobManager(JobManager):
    """Where Procrastinate would let the whole worker end because the database is away for a moment, and wait for its
    running jobs before another takes their queue, this waits. And it notes the end of a job only for the worker that
    still has it."""

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """See `JobManager`; none while the database is away, so that the worker looks again soon."""
        with _tolerate_outage("look for jobs"):
            return await super().fetch_job(queues, worker_id)
        return None

    async def defer_periodic_job(self, job: Job, periodic_id: str, defer_timestamp: int) -> int | None:
        """See `JobManager`; a chore that falls due while the database is away is left out this time."""
        with _tolerate_outage("defer chores"):
            return await super().defer_periodic_job(job, periodic_id, defer_timestamp)
        return None

    async def listen_for_jobs(self, *, on_notification: Any, queues: Iterable[str] | None = None) -> None:
        """See `JobManager`; listens again whenever the database is back."""
        while True:
            with _tolerate_outage("listen for jobs"):
                await super().listen_for_jobs(on_notification=on_notification, queues=queues)
            await asyncio.sleep(_LISTEN_AGAIN)

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:
        """See `JobManager`; none while the database is away, where the worker would log a traceback every 5 s."""
        with _tolerate_outage("look for jobs to abort"):
            return await super().list_jobs_to_abort_async(queue)
        return []

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """See `JobManager`; nothing happens if another worker has the job meanwhile."""
        await self._note(job, _Q.finish_own, status=status.value, delete=delete_job)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """See `JobManager`; nothing happens if another worker has the job meanwhile."""
        await self._note(job, _Q.retry_own, at=retry_at or utcnow(), priority=priority, queue=queue, lock=lock)

    async def _note(self, job: Job, query: Any, **values: Any) -> None:
        noted = await self.connector.execute_query_all_async(query, job=job.id, worker=job.worker_id, **values)
        if not noted:
            _log.warning("%s went to another worker meanwhile", job.call_string)


@contextmanager
def _tolerate_outage(what: str) -> Iterator[None]:
    """Whoever asks will ask again, so that the database is away is no reason to end."""
    try:
        yield
    except ConnectorException as error:
        if not transient.is_transient(error):
            raise
        _log.warning("Can't %s just now: %s", what, " ".join(str(error.__cause__).split()))
