"""The Procrastinate tasks: what each job's name means in a worker."""

import logging
from datetime import timedelta

from procrastinate import App, BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job
from procrastinate.utils import utcnow

from caravan.backoff import Backoff
from caravan.engine import direct, reading, singles, spans, start, upkeep
from caravan.engine.advance import advance
from caravan.engine.engine import Engine
from caravan.engine.file_job import hindrances_noted
from caravan.queue import transient
from caravan.queue.names import Queue
from caravan.steps.move import Tools

_BACKOFF = Backoff(first=1.0, factor=2.0, longest=15.0)  # once the cause is gone, work goes on within 15 seconds
_log = logging.getLogger(__name__)


class RetryPolicy(BaseRetryStrategy):
    """Retry with backoff. Transient errors are retried for ever; permanent ones some more times than it takes to be
    noted as stuck."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        around = transient.is_transient(exception)
        if not around and job.attempts > 2 * transient.SAME_FAILURES:
            return None
        delay = _BACKOFF.delay(job.attempts + 1)
        # All of it: the people who wait are told less (transient.py: describe).
        what = job.call_string, delay, type(exception).__name__, " ".join(str(exception).split())
        _log.warning("%s is tried again in %.0f s: %s: %s", *what, exc_info=None if around else exception)
        return RetryDecision(retry_at=utcnow() + timedelta(seconds=delay))


def register(app: App, engine: Engine, tools: Tools) -> None:
    """Tell the app what its jobs do."""
    policy = RetryPolicy()

    @app.task(name="read", retry=policy)
    async def read(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await reading.read(engine, batch, tools.stopping)

    @app.task(name="span", retry=policy)
    async def span(batch: str, number: int) -> None:
        async with hindrances_noted(engine, batch):
            await spans.take(engine, batch, number, tools.stopping)

    @app.task(name="join", retry=policy)
    async def join(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await spans.join(engine, batch, tools.stopping)

    @app.task(name="fetch", retry=policy)
    async def fetch(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await start.fetch(engine, batch, tools.stopping)

    if engine.files.inbox is not None:
        _register_direct(app, engine, policy)

    @app.task(name="gather", retry=policy)
    async def gather(batch: str) -> None:
        await singles.gather(engine, batch, tools.stopping)

    @app.task(name="advance", retry=policy)
    async def advance_cohort(cohort: int) -> None:
        await advance(engine, tools, cohort)

    @app.periodic(cron="* * * * * */30")
    @app.task(name="tidy", queue=Queue.UPKEEP, lock="tidy", queueing_lock="tidy")
    async def tidy(timestamp: int) -> None:
        await upkeep.tidy(engine, tools.stopping)


def _register_direct(app: App, engine: Engine, policy: RetryPolicy) -> None:
    """The jobs of a store into which clients put files themselves."""

    @app.task(name="collect", retry=policy)
    async def collect(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await direct.collect(engine, batch)

    @app.periodic(cron="* * * * * */2")
    @app.task(name="look", queue=Queue.UPKEEP, lock="look", queueing_lock="look")
    async def look(timestamp: int) -> None:
        await direct.look(engine)
