"""Workers that are gone: their jobs go on elsewhere, once, and without any job that looks for them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from procrastinate import App
from procrastinate.jobs import Job, Status

from caravan.queue import recovery
from caravan.queue.job_manager import ResilientJobManager, queue_app
from caravan.queue.presence import Presence
from caravan.queue.recovery import Watch
from caravan.store import metrics, queues
from caravan.store.database import Pool, row
from caravan.store.jobs import RunningJob
from caravan.store.process_locks import OwnFolder
from tests.integration.conftest import System, working

_OFTEN = 2.5  # seconds between two looks


class Hourglass:
    """What time it is for a watch, as far as a test turns it."""

    def __init__(self) -> None:
        self._seconds = 100.0

    def __call__(self) -> float:
        return self._seconds

    def turn(self, seconds: float) -> None:
        self._seconds += seconds


@dataclass(slots=True)
class Queue:
    """A queue without tasks, and the workers that a test lets fetch from it."""

    app: App
    pool: Pool

    async def add(self, identity: str = "cohort:1") -> None:
        job = Job(
            queue="advance", lock=identity, queueing_lock=identity, task_name="advance", task_kwargs={"cohort": 1}
        )
        await self.app.job_manager.defer_job_async(job)

    async def fetch(self, worker: int | None = None) -> Job:
        """A worker fetches a job; its id is the job's `worker_id`."""
        worker = worker or await self.app.job_manager.register_worker()
        job = await self.app.job_manager.fetch_job(["advance"], worker)
        assert job is not None
        return job

    async def be_silent(self, worker: int | None, seconds: float) -> None:
        await self._execute(
            "update procrastinate_workers set last_heartbeat = now() - %s where id = %s",
            timedelta(seconds=seconds),
            worker,
        )

    async def status(self, job: Job) -> tuple[str, int | None]:
        async with self.pool.connection() as connection:
            found = await row(
                connection, "select status::text, worker_id from procrastinate_jobs where id = %(id)s", id=job.id
            )
        return (found["status"], found["worker_id"]) if found else ("gone", None)

    async def is_todo(self, job: Job) -> bool:
        return (await self.status(job))[0] == "todo"

    async def look_twice(self) -> int:
        """A process sees silent workers, and sees them still silent at another look, as if that was much later."""
        watch = Watch(self.pool, silence=0.1, confirm=0.0)
        assert await watch.look() == 0
        return await watch.look()

    async def _execute(self, query: str, *values: object) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(query, values)  # type: ignore[arg-type]


@pytest.fixture
async def queue(pool: Pool) -> AsyncIterator[Queue]:
    async with queue_app().open_async(pool) as app:
        yield Queue(app, pool)


@pytest.fixture
def time() -> Hourglass:
    return Hourglass()


async def test_a_worker_that_is_silent_for_twenty_seconds_is_dead(queue: Queue, time: Hourglass) -> None:
    await queue.add()
    job = await queue.fetch()
    watch = Watch(queue.pool, monotonic=time)
    await queue.be_silent(job.worker_id, 14)
    assert await watch.look() == 0
    await queue.be_silent(job.worker_id, 16)
    for _ in range(2):
        time.turn(_OFTEN)
        assert await watch.look() == 0
    time.turn(_OFTEN)
    assert await watch.look() == 1
    assert (await queue.status(job))[0] == "todo"
    assert await watch.look() == 0


async def test_a_process_that_has_just_started_decides_after_five_seconds(queue: Queue, time: Hourglass) -> None:
    for identity in ("cohort:1", "cohort:2"):
        await queue.add(identity)
    dead, living = await queue.fetch(), await queue.fetch()
    watch = Watch(queue.pool, monotonic=time)
    for each in (dead, living):
        await queue.be_silent(each.worker_id, 600)
    assert await watch.look() == 0
    time.turn(_OFTEN)
    assert await watch.look() == 0  # too soon
    await queue.be_silent(living.worker_id, 0)
    time.turn(_OFTEN)
    assert await watch.look() == 1
    assert (await queue.status(dead))[0] == "todo"
    assert await queue.status(living) == ("doing", living.worker_id)


async def test_after_an_outage_in_which_postgres_ran_on_the_living_have_time_to_give_a_sign(
    queue: Queue, time: Hourglass
) -> None:
    """The network was cut, or a machine stood still: all have been silent for long, the looker itself too."""
    for identity in ("cohort:1", "cohort:2"):
        await queue.add(identity)
    dead, living = await queue.fetch(), await queue.fetch()
    watch = Watch(queue.pool, monotonic=time)
    for _ in range(10):
        assert await watch.look() == 0
        time.turn(_OFTEN)
    for each in (dead, living):
        await queue.be_silent(each.worker_id, 60)
    time.turn(60)
    for _ in range(2):
        assert await watch.look() == 0
        time.turn(_OFTEN)
    await queue.be_silent(living.worker_id, 0)
    assert await watch.look() == 1
    assert await queue.status(living) == ("doing", living.worker_id)


async def test_a_worker_that_was_suspected_before_an_outage_is_suspected_anew_after_it(
    queue: Queue, time: Hourglass
) -> None:
    await queue.add()
    job = await queue.fetch()
    watch = Watch(queue.pool, monotonic=time)
    await queue.be_silent(job.worker_id, 16)
    assert await watch.look() == 0
    time.turn(60)
    assert await watch.look() == 0
    for _ in range(2):
        time.turn(_OFTEN)
        found = await watch.look()
    assert found == 1


async def test_of_many_that_look_at_once_one_puts_a_job_back(queue: Queue) -> None:
    await queue.add()
    job = await queue.fetch()
    await queue.be_silent(job.worker_id, 60)
    assert sum(await asyncio.gather(*(queue.look_twice() for _ in range(5)))) == 1


async def test_each_job_is_put_back_in_a_transaction_of_its_own(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the batches of all of them would be locked until the last one is put back, in no order."""
    first, second = [await _given(queue, f"cohort:{number}") for number in (1, 2)]
    seen = list[list[str]]()

    async def note_death(*_: object) -> float:
        seen.append(sorted([(await queue.status(job))[0] for job in (first, second)]))
        return 0.0

    monkeypatch.setattr(recovery, "note_death", note_death)
    assert await queue.look_twice() == 2
    assert seen == [["doing", "doing"], ["doing", "todo"]]


async def _given(queue: Queue, identity: str) -> Job:
    """A job in the hands of a worker that has been silent for long."""
    await queue.add(identity)
    job = await queue.fetch()
    await queue.be_silent(job.worker_id, 60)
    return job


async def test_a_process_that_looked_before_another_worker_took_the_job_does_not_put_it_back(queue: Queue) -> None:
    await queue.add()
    first = await queue.fetch()
    await queue.be_silent(first.worker_id, 60)
    await queue.look_twice()
    second = await queue.fetch()
    assert first.worker_id is not None and first.id is not None
    seen = RunningJob(first.id, first.worker_id, "advance", {"cohort": 1})
    assert not await recovery._put_back(queue.pool, seen, died=True)
    assert await queue.status(second) == ("doing", second.worker_id)


@pytest.mark.parametrize("end", ["finish", "retry"])
async def test_a_worker_that_was_replaced_notes_no_end_of_a_job_that_another_runs(queue: Queue, end: str) -> None:
    """Else the job was gone while its successor still runs it, and if that dies too no worker would take it up."""
    await queue.add()
    first = await queue.fetch()
    await queue.be_silent(first.worker_id, 60)
    await queue.look_twice()
    jobs = queue.app.job_manager

    async def note(job: Job) -> None:
        await (jobs.finish_job(job, Status.SUCCEEDED, True) if end == "finish" else jobs.retry_job(job))

    await note(first)
    assert (await queue.status(first))[0] == "todo"
    second = await queue.fetch()
    await note(first)
    assert await queue.status(second) == ("doing", second.worker_id)
    await note(second)
    assert (await queue.status(second))[0] == ("gone" if end == "finish" else "todo")


async def test_a_job_of_no_worker_is_put_back(queue: Queue) -> None:
    await queue.add()
    job = await queue.fetch()
    assert job.worker_id is not None
    await queue.app.job_manager.unregister_worker(job.worker_id)
    assert await Watch(queue.pool).look() == 1
    assert (await queue.status(job))[0] == "todo"


async def test_a_job_whose_twin_waits_already_is_not_needed_any_more(queue: Queue) -> None:
    await queue.add()
    job = await queue.fetch()
    await queue.add()
    await queue.be_silent(job.worker_id, 60)
    assert await queue.look_twice() == 1
    assert await queue.status(job) == ("gone", None)
    assert (await queue.fetch()).id != job.id


async def test_the_jobs_of_a_dead_process_of_this_machine_are_put_back_without_waiting_for_its_silence(
    queue: Queue, folder: Path
) -> None:
    await queue.add()
    presence, job = Presence(folder, "db"), await queue.fetch()
    assert job.worker_id is not None
    presence.note(job.worker_id)
    assert await recovery.put_back_jobs_of_the_dead(queue.pool, folder, "db") == 0
    presence._file.close()  # what the kernel does when a process ends
    assert await recovery.put_back_jobs_of_the_dead(queue.pool, folder, "db") == 1
    assert (await queue.status(job))[0] == "todo"


async def test_a_process_that_dies_with_a_job_that_it_has_not_begun_is_known_all_the_same(
    queue: Queue, folder: Path
) -> None:
    await queue.add()
    presence, manager = Presence(folder, "db"), queue.app.job_manager
    assert isinstance(manager, ResilientJobManager)
    manager.before_fetch = presence.note
    job = await queue.fetch()
    presence._file.close()
    assert await recovery.put_back_jobs_of_the_dead(queue.pool, folder, "db") == 1
    assert (await queue.status(job))[0] == "todo"


async def test_a_process_at_work_has_named_a_worker_of_each_queue_before_any_has_a_job(idle_system: System) -> None:
    home = idle_system.engine.settings.folder / "present"

    async def named() -> bool:
        return [len(each.read_text().split()) for each in home.glob("*/*")] == [len(queues.Queue)]

    async with working(idle_system):
        await _until(named)


async def test_a_process_looks_as_soon_as_it_is_on_watch(queue: Queue, folder: Path) -> None:
    await queue.add()
    job = await queue.fetch()
    assert job.worker_id is not None
    await queue.app.job_manager.unregister_worker(job.worker_id)
    async with recovery.on_watch(queue.pool, folder):
        await _until(lambda: queue.is_todo(job))


@pytest.mark.parametrize("broken", ["put_back_jobs_of_the_dead", "clear_left"])
async def test_a_look_that_fails_keeps_no_other_from_being_made(
    queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("what was not thought of")

    monkeypatch.setattr(recovery, broken, fail)
    await queue.add()
    job = await queue.fetch()
    assert job.worker_id is not None
    await queue.app.job_manager.unregister_worker(job.worker_id)
    async with recovery.on_watch(queue.pool, folder):
        await _until(lambda: queue.is_todo(job))


async def test_what_a_process_left_on_this_machine_is_removed_while_others_work(
    queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "LOOK_EVERY", 0.05)
    own = OwnFolder(folder / "scratch")
    own.path.mkdir()
    (own.path / "expanded").write_bytes(b"half a fi")

    async def is_removed() -> bool:
        return not own.path.exists()

    async with recovery.on_watch(queue.pool, folder):
        await asyncio.sleep(0.2)
        assert not await is_removed()
        own._file.close()  # what the kernel does when a process ends
        await _until(is_removed)


async def _until(reached: Callable[[], Awaitable[bool]]) -> None:
    deadline = asyncio.get_running_loop().time() + 5
    while not await reached():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_jobs_of_dead_workers_are_counted(queue: Queue, pool: Pool) -> None:
    await queue.add()
    job = await queue.fetch()
    assert job.worker_id is not None
    assert await recovery.put_back(pool, [job.worker_id]) == 1
    async with pool.connection() as connection:
        await metrics.add(connection, [])
        told = {each.key: each.value for each in await metrics.totals(connection)}
    assert told["caravan_jobs_put_back_total", (("reason", "worker_died"),)] == 1
    assert told["caravan_job_deaths_total", ()] == 1
