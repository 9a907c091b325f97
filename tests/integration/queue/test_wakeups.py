"""Workers look for jobs when there is one for them, and at no other time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from procrastinate import App
from procrastinate.jobs import Job
from procrastinate.utils import utcnow
from procrastinate.worker import Worker

from caravan.queue import wakeups
from caravan.queue.job_manager import ResilientJobManager, queue_app
from caravan.store import jobs
from caravan.store.database import Pool, rows
from caravan.store.jobs import NextDue

QUEUES = ["advance", "deliver"]


class Jobs:
    """Jobs that note when they run, and workers for them that never poll."""

    def __init__(self, app: App, pool: Pool) -> None:
        self.app, self.pool = app, pool
        self.ran: dict[str, float] = {}
        self.looks = 0

        @app.task(name="note")
        async def note(name: str) -> None:
            self.ran[name] = time.monotonic()

        self._note = note

    async def add(self, name: str, queue: str = "advance", after: float | None = None, **more: Any) -> Job:
        at = None if after is None else utcnow() + timedelta(seconds=after)
        job = Job(
            queue=queue,
            lock=None,
            queueing_lock=None,
            task_name="note",
            task_kwargs={"name": name},
            scheduled_at=at,
        )
        return await self.app.job_manager.defer_job_async(job.evolve(**more))

    async def until(self, *names: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not set(names) <= set(self.ran):
            assert time.monotonic() < deadline, self.ran
            await asyncio.sleep(0.005)

    @asynccontextmanager
    async def working(self, queues: list[str] = QUEUES) -> AsyncIterator[None]:
        manager = self.app.job_manager
        assert isinstance(manager, ResilientJobManager)
        workers = [
            Worker(self.app, [queue], fetch_job_polling_interval=3600, install_signal_handlers=False, concurrency=2)
            for queue in queues
        ]
        async with manager.waking(self.pool, queues):
            running = [asyncio.create_task(worker.run()) for worker in workers]  # type: ignore[no-untyped-call]
            await asyncio.sleep(0.5)  # they listen, and have looked for the first time
            try:
                yield
            finally:
                for worker in workers:
                    worker.stop()  # type: ignore[no-untyped-call]
                await asyncio.gather(*running)


@pytest.fixture
async def queue(pool: Pool) -> AsyncIterator[Jobs]:
    async with queue_app().open_async(pool) as app:
        yield Jobs(app, pool)


@pytest.fixture(autouse=True)
def _never_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeups, "LOOK_EVERY", 3600.0)


async def test_a_job_runs_as_soon_as_it_is_deferred(queue: Jobs) -> None:
    async with queue.working():
        for name in QUEUES * 3:
            queue.ran.clear()
            began = time.monotonic()
            await queue.add(name, name)
            await queue.until(name)
            assert queue.ran[name] - began < 1


async def test_jobs_that_were_there_before_the_workers_run(queue: Jobs) -> None:
    await queue.add("first")
    await queue.add("second", "deliver", after=-5)
    async with queue.working():
        await queue.until("first", "second")


async def test_jobs_run_when_they_fall_due_whatever_is_deferred_meanwhile(queue: Jobs) -> None:
    """In each queue, in whichever order they come, and with due times nearer than two looks."""
    after = {"a": 0.9, "b": 0.3, "c": 0.31, "d": 0.6, "e": 0.05}
    async with queue.working():
        began = time.monotonic()
        for name, seconds in after.items():
            await queue.add(name, QUEUES[len(name) % 2], after=seconds)
            await queue.add(f"now {name}", "deliver")
        await queue.until(*after)
    late = {name: queue.ran[name] - began - seconds for name, seconds in after.items()}
    assert all(-0.01 <= each < 1 for each in late.values()), late


async def test_a_retry_that_this_process_noted_runs_when_it_is_due(queue: Jobs) -> None:
    async with queue.working():
        tries = 0

        @queue.app.task(name="fail once", retry=1)
        async def fail_once(name: str) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise ValueError
            queue.ran[name] = time.monotonic()

        await queue.add("again", task_name="fail once")
        await queue.until("again")


async def test_a_job_that_another_process_puts_back_wakes_a_worker(queue: Jobs) -> None:
    worker = await queue.app.job_manager.register_worker()
    job = await queue.add("left")
    assert await queue.app.job_manager.fetch_job(["advance"], worker) is not None
    assert job.id is not None
    async with queue.working():
        async with queue.pool.connection() as connection:
            await jobs.put_back(connection, jobs.RunningJob(job.id, worker, "note", {}), 0.0)
        await queue.until("left")


async def test_a_job_that_its_lock_kept_from_running_runs_once_the_other_has_ended(queue: Jobs) -> None:
    go_on, running = asyncio.Event(), asyncio.Event()

    @queue.app.task(name="hold")
    async def hold(name: str) -> None:
        running.set()
        await go_on.wait()

    async with queue.working():
        await queue.add("first", task_name="hold", lock="cohort:1", queueing_lock="cohort:1")
        await running.wait()
        await queue.add("second", lock="cohort:1", queueing_lock="cohort:1")
        await asyncio.sleep(0.2)
        assert not queue.ran
        go_on.set()
        await queue.until("second")


async def test_a_job_that_comes_while_a_worker_looks_is_found(queue: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Procrastinate's worker clears its event when it has looked, also if that came after what it saw."""
    app, fetched = queue.app, asyncio.Event()
    manager = app.job_manager
    assert isinstance(manager, ResilientJobManager)
    execute = app.connector.execute_query_one_async

    async def slow(query: str, **values: Any) -> Any:
        found = await execute(query, **values)
        if "fetch_job" in query and found["id"] is None and not queue.ran:
            fetched.set()
            await asyncio.sleep(0.3)  # the answer is on its way
        return found

    async with queue.working():
        monkeypatch.setattr(app.connector, "execute_query_one_async", slow)
        await manager._wakeups.wake("advance")
        await fetched.wait()
        await queue.add("meanwhile")
        await queue.until("meanwhile")


async def test_a_process_with_nothing_to_do_does_not_ask_for_jobs(queue: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    execute = queue.app.connector.execute_query_one_async
    asked = list[str]()

    async def counted(query: str, **values: Any) -> Any:
        asked.append(query)
        return await execute(query, **values)

    async with queue.working():
        monkeypatch.setattr(queue.app.connector, "execute_query_one_async", counted)
        await asyncio.sleep(0.8)
        assert not asked


async def test_what_no_notification_told_of_is_found_at_the_next_look(
    queue: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "LOOK_EVERY", 0.3)
    async with queue.working():
        async with queue.pool.connection() as connection:
            await connection.execute("alter table procrastinate_jobs disable trigger user")
        await queue.add("silent")
        await queue.until("silent")


async def test_a_listener_that_lost_its_connection_listens_again(queue: Jobs, pool: Pool) -> None:
    async with queue.working():
        await queue.add("before")
        await queue.until("before")
        assert await _listeners(pool, "pg_terminate_backend(pid)")
        deadline = time.monotonic() + 10
        while not await _listeners(pool, "pid"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        await queue.add("after")
        await queue.until("after")


async def _listeners(pool: Pool, what: str) -> list[Any]:
    async with pool.connection() as connection:
        query = f"select {what} from pg_stat_activity where query ilike 'listen%%' and datname = current_database()"
        return await rows(connection, query)


async def test_of_several_workers_of_a_process_one_defers_a_chore(queue: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    connector, manager = queue.app.connector, queue.app.job_manager
    execute, asked = connector.execute_query_one_async, list[str]()

    async def counted(query: str, **values: Any) -> Any:
        asked.append(query)
        return await execute(query, **values)

    def chore(timestamp: int) -> Job:
        given = {"name": "chore", "timestamp": timestamp}
        return Job(queue="upkeep", lock=None, queueing_lock=None, task_name="note", task_kwargs=given)

    monkeypatch.setattr(connector, "execute_query_one_async", counted)
    made = await asyncio.gather(*(manager.defer_periodic_job(chore(60), "", 60) for _ in range(7)))
    assert (sum(each is not None for each in made), len(asked)) == (1, 1)
    assert await manager.defer_periodic_job(chore(90), "", 90) is not None


async def test_when_a_queue_has_work(queue: Jobs) -> None:
    await queue.add("now", "deliver")
    await queue.add("past", "fetch", after=-10)
    for seconds in (100, 50, 200):
        await queue.add("later", "fetch", after=seconds)
    found = {each.queue: each for each in await jobs.next_due(queue.pool, ["advance", "deliver", "fetch"])}
    assert found["advance"] == NextDue("advance", False, None)
    assert found["deliver"] == NextDue("deliver", True, None)
    assert found["fetch"].ready and found["fetch"].seconds is not None and 40 < found["fetch"].seconds <= 50
