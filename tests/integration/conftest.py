"""A whole engine in one process: real PostgreSQL, real files, a real worker, channels that tests script."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from procrastinate import App

from caravan.api.app import create_app
from caravan.bootstrap import open_engine
from caravan.channels.sandbox import Sandbox
from caravan.clock import TurnedClock
from caravan.engine import worker as workers
from caravan.engine.engine import Engine
from caravan.queue.job_manager import queue_app
from caravan.settings import Settings
from caravan.store.customers import add_customer, create_token
from caravan.store.queues import Queue

NDJSON = {"Content-Type": "text/plain"}


@dataclass(slots=True)
class System:
    """An engine, a customer of it, and a client that knows its token."""

    engine: Engine
    app: App
    clock: TurnedClock
    customer: int
    token: str
    http: httpx.AsyncClient
    sandbox: Sandbox

    def path(self, rest: str) -> str:
        return f"/{self.customer}/{rest}"

    async def post(self, rest: str, body: object, **headers: str) -> httpx.Response:
        return await self.http.post(self.path(rest), json=body, headers=headers)

    async def get(self, rest: str) -> httpx.Response:
        return await self.http.get(self.path(rest))

    async def publish(self, definition: str, journey: int = 1) -> None:
        answer = await self.http.put(self.path(f"journeys/{journey}"), content=definition)
        assert answer.status_code == 200, answer.text

    async def start(self, content: bytes, journey: int = 1, **headers: str) -> str:
        """Start a batch by upload; its id."""
        opened = (await self.post("batchtrigger/v2", {"entityId": journey})).json()
        answer = await self.http.put(opened["uploadUrl"], content=content, headers={**NDJSON, **headers})
        assert answer.status_code == 200, answer.text
        return str(opened["batchId"])

    async def batch(self, batch: str) -> dict:  # type: ignore[type-arg]
        answer = await self.get(f"batches/{batch}")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        check_ledger(found["ledger"])
        return dict(found)

    async def until(self, batch: str, reached: Callable[[dict], bool], seconds: float = 120) -> dict:  # type: ignore[type-arg]
        """The batch once it is as wished; its ledger is checked at each look."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not reached(found := await self.batch(batch)):
            assert asyncio.get_running_loop().time() < deadline, json.dumps(found)
            await asyncio.sleep(0.02)
        return found

    async def ended(self, batch: str, seconds: float = 120) -> dict:  # type: ignore[type-arg]
        return await self.until(batch, lambda found: found["finishedAt"] is not None, seconds)

    async def lines(self, rest: str) -> list[dict]:  # type: ignore[type-arg]
        import json

        answer = await self.get(rest)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    async def turn(self, **by: float) -> None:
        """Turn the clock, and with it the times at which jobs fall due."""
        from datetime import timedelta

        self.clock.turn(timedelta(**by))
        async with self.engine.pool.connection() as connection:
            await connection.execute(
                "update procrastinate_jobs set scheduled_at = scheduled_at - %s where status = 'todo'",
                (timedelta(**by),),
            )
            for queue in Queue:  # the timers of workers have turned too
                await connection.execute(
                    'select pg_notify(\'procrastinate_queue_v1#\' || %s, \'{"type": "job_inserted", "job_id": 0}\')',
                    (queue,),
                )


def check_ledger(ledger: dict) -> None:  # type: ignore[type-arg]
    """The ledger balances (guarantee 1)."""
    assert ledger["lines"] == ledger["entered"] + sum(ledger["rejected"].values()) + ledger["blank"], ledger
    for step in ledger["steps"]:
        assert step["arrived"] == step["standing"] + sum(step["outcomes"].values()), ledger
        assert step["standing"] >= 0


@asynccontextmanager
async def open_house(settings: Settings, sandbox: Sandbox, **parts: Any) -> AsyncIterator[System]:
    """A system without a worker; `parts` are the engine's, like its channels."""
    clock = TurnedClock()
    async with open_engine(settings, clock, **parts) as (engine, app):
        async with engine.pool.connection() as connection:
            customer = await add_customer(connection, f"test {secrets.token_hex(4)}", clock.now())
            token = await create_token(connection, customer, "test", clock.now())
        transport = httpx.ASGITransport(app=create_app(engine), raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://caravan.test", headers=headers) as http:
            yield System(engine, app, clock, customer, token, http, sandbox)


@asynccontextmanager
async def working(system: System) -> AsyncIterator[None]:
    """A worker on all queues, as long as the block lasts."""
    stop = asyncio.Event()
    async with queue_app().open_async(system.engine.pool) as app:
        task = asyncio.create_task(workers.work(app, system.engine, workers.CONCURRENCY, stop))
        try:
            yield
        finally:
            stop.set()
            await task


@pytest.fixture
def settings(database: str, folder: Path) -> Settings:
    return Settings(
        data=folder,
        database_url=database,
        files_url=None,
        download_allow_private=True,
        retry_delay=0.05,
        download_retry_delay=0.01,
        cohort_size=100,
        window_size=10,
    )  # type: ignore[call-arg]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def idle_system(settings: Settings, sandbox: Sandbox) -> AsyncIterator[System]:
    """A system in which nothing works yet: for tests that look between two steps."""
    async with open_house(settings.model_copy(update={"smtp_url": sandbox.url}), sandbox) as system:
        yield system


@pytest.fixture
async def system(idle_system: System) -> AsyncIterator[System]:
    """A system with a worker."""
    async with working(idle_system):
        yield idle_system
