"""The Procrastinate tasks: what each job's name means in a worker."""

import logging
from datetime import timedelta

from procrastinate import App, BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job
from procrastinate.utils import utcnow

from caravan.engine import direct, reading, singles, spans, start, upkeep
from caravan.engine.advance import advance
from caravan.engine.engine import Engine
from caravan.engine.file_job import hindrances_noted
from caravan.queue import transient
from caravan.queue.names import Queue
from caravan.steps.move import Tools

_LONGEST_WAIT = 15.0  # seconds; when the cause is gone, nobody should have to wait for much longer
_log = logging.getLogger(__name__)


class RetryPolicy(BaseRetryStrategy):
    """Try again with growing delay: 1 s, 2 s, 4 s … up to 15 seconds. Trouble around the work is waited out for ever;
    work that itself fails is tried some more times than it takes to be noted as stuck."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        around = transient.is_transient(exception)
        if not around and job.attempts > 2 * transient.SAME_FAILURES:
            return None
        delay = min(2.0 ** min(job.attempts, 10), _LONGEST_WAIT)
        # All of it: the people who wait are told less (transient.py: describe).
        what = job.call_string, delay, type(exception).__name__, " ".join(str(exception).split())
        _log.warning("%s is tried again in %.0f s: %s: %s", *what, exc_info=None if around else exception)
        return RetryDecision(retry_at=utcnow() + timedelta(seconds=delay))


def register(app: App, engine: Engine, tools: Tools) -> None:
    """Tell the app what its jobs do."""
    patience = RetryPolicy()

    @app.task(name="read", retry=patience)
    async def read(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await reading.read(engine, batch, tools.stopping)

    @app.task(name="span", retry=patience)
    async def span(batch: str, number: int) -> None:
        async with hindrances_noted(engine, batch):
            await spans.take(engine, batch, number, tools.stopping)

    @app.task(name="join", retry=patience)
    async def join(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await spans.join(engine, batch, tools.stopping)

    @app.task(name="fetch", retry=patience)
    async def fetch(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await start.fetch(engine, batch, tools.stopping)

    if engine.files.inbox is not None:
        _register_direct(app, engine, patience)

    @app.task(name="gather", retry=patience)
    async def gather(batch: str) -> None:
        await singles.gather(engine, batch, tools.stopping)

    @app.task(name="advance", retry=patience)
    async def advance_cohort(cohort: int) -> None:
        await advance(engine, tools, cohort)

    @app.periodic(cron="* * * * * */30")
    @app.task(name="tidy", queue=Queue.UPKEEP, lock="tidy", queueing_lock="tidy")
    async def tidy(timestamp: int) -> None:
        await upkeep.tidy(engine, tools.stopping)


def _register_direct(app: App, engine: Engine, patience: RetryPolicy) -> None:
    """The jobs of a store into which clients put files themselves."""

    @app.task(name="collect", retry=patience)
    async def collect(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await direct.collect(engine, batch)

    @app.periodic(cron="* * * * * */2")
    @app.task(name="look", queue=Queue.UPKEEP, lock="look", queueing_lock="look")
    async def look(timestamp: int) -> None:
        await direct.look(engine)
