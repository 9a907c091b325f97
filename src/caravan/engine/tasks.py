"""The Procrastinate tasks: what each job's name means in a worker."""

from procrastinate import App

from caravan.engine import direct, erasure, hits, matching, moving, reading, singles, spans, start, upkeep
from caravan.engine.advance import advance
from caravan.engine.engine import Engine
from caravan.engine.file_job import hindrances_noted
from caravan.queue.retries import RetryPolicy
from caravan.steps.move import Tools
from caravan.store.queues import Queue, Task


def register(app: App, engine: Engine, tools: Tools) -> None:
    """Tell the app what its jobs do."""
    policy = RetryPolicy()

    @app.task(name=Task.READ, retry=policy)
    async def read(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await reading.read(engine, batch, tools.stopping)

    @app.task(name=Task.SPAN, retry=policy)
    async def span(batch: str, number: int) -> None:
        async with hindrances_noted(engine, batch):
            await spans.take(engine, batch, number, tools.stopping)

    @app.task(name=Task.JOIN, retry=policy)
    async def join(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await spans.join(engine, batch, tools.stopping)

    @app.task(name=Task.FETCH, retry=policy)
    async def fetch(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await start.fetch(engine, batch, tools.stopping)

    if engine.files.inbox is not None:
        _register_direct(app, engine, policy)

    @app.task(name=Task.GATHER, retry=policy)
    async def gather(batch: str) -> None:
        await singles.gather(engine, batch, tools.stopping)

    @app.task(name=Task.ADVANCE, retry=policy)
    async def advance_cohort(cohort: int) -> None:
        await advance(engine, tools, cohort)

    finders = matching.finders_of(engine)

    @app.task(name=Task.MATCH, retry=policy)
    async def match(customer: int) -> None:
        await matching.match(engine, tools, finders, customer)

    @app.task(name=Task.JUDGE, retry=policy)
    async def judge() -> None:
        await hits.judge_hits(engine)

    @app.task(name=Task.ERASE, retry=policy)
    async def erase(number: int) -> None:
        await erasure.erase(engine, number)

    @app.task(name=Task.MOVE_WAITING, retry=policy)
    async def move_waiting(customer: int, journey: int, version: int, reschedule: int) -> None:
        await moving.move_waiting(engine, customer, journey, version, reschedule=bool(reschedule))

    @app.periodic(cron="* * * * * */30")
    @app.task(name=Task.TIDY, queue=Queue.UPKEEP, lock=Task.TIDY, queueing_lock=Task.TIDY)
    async def tidy(timestamp: int) -> None:
        await upkeep.tidy(engine, tools.stopping)


def _register_direct(app: App, engine: Engine, policy: RetryPolicy) -> None:
    """The jobs of a store into which clients put files themselves."""

    @app.task(name=Task.COLLECT, retry=policy)
    async def collect(batch: str) -> None:
        async with hindrances_noted(engine, batch):
            await direct.collect(engine, batch)

    @app.periodic(cron="* * * * * */2")
    @app.task(name=Task.LOOK, queue=Queue.UPKEEP, lock=Task.LOOK, queueing_lock=Task.LOOK)
    async def look(timestamp: int) -> None:
        await direct.look(engine)
