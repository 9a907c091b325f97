"""Work that kills its workers: it is given up after some deaths, and nothing else is."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from procrastinate import App
from procrastinate.jobs import Status

from caravan.backoff import Backoff
from caravan.delivery import send_window
from caravan.engine import reading
from caravan.engine import worker as workers
from caravan.engine.advance import advance
from caravan.queue import deaths, recovery
from caravan.queue.job_manager import queue_app
from caravan.store import cohorts, spans
from caravan.store.journal import RECORD
from caravan.store.spans import Span
from caravan.store.windows import Verdict, Windows
from tests.integration.conftest import System, working
from tests.integration.engine.fuse import Crash
from tests.integration.journeys_for_tests import MAIL, contacts


@pytest.fixture(autouse=True)
def _restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested is what comes of the deaths."""
    monkeypatch.setattr(deaths, "_REST", Backoff(0, 2, 0))


async def _die(system: System, app: App, queue: str) -> bool:
    """A worker takes the next job of a queue and dies; False if there is no job."""
    worker = await app.job_manager.register_worker()
    job = await app.job_manager.fetch_job([queue], worker)
    if job is None:
        return False
    assert await recovery.put_back(system.engine.pool, [worker]) == 1
    return True


async def _read(system: System, rows: int = 10) -> str:
    """A batch that has been read, and stands at its mail."""
    await system.publish(MAIL)
    batch = await system.start(contacts(rows))
    await reading.read(system.engine, batch, asyncio.Event())
    return batch


async def test_a_cohort_that_kills_its_workers_is_stuck_says_why_and_can_be_retried(idle_system: System) -> None:
    system = idle_system
    batch = await _read(system)
    async with queue_app().open_async(system.engine.pool) as app:
        for _ in range(deaths.COHORT_DEATHS):
            assert (await system.batch(batch))["stuck"] == 0
            assert await _die(system, app, "deliver")
    found = await system.batch(batch)
    assert (found["stuck"], found["waiting"]["kind"], found["waiting"]["remedy"]) == (10, "stuck", "retry")
    assert found["waitingFor"].startswith("10 contacts at mail are stuck since ")
    assert found["waitingFor"].endswith(": the worker that had them in hand died")
    async with working(system):
        assert not system.sandbox.mails
        assert (await system.post(f"batches/{batch}/retry", {})).status_code == 200
        assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 10}


async def test_of_a_cohort_with_one_contact_that_kills_workers_all_others_are_sent_to_and_that_one_is_stuck(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each death leaves a window in the air, which the next sender settles: so it goes through many cohorts."""
    system, prepare = idle_system, send_window._prepare

    def killing(delivery: Any, people: list[dict[str, Any]], *others: Any) -> Any:
        if any(person["id"] == "25" for person in people):
            raise Crash
        return prepare(delivery, people, *others)

    monkeypatch.setattr(send_window, "_prepare", killing)
    batch, died = await _read(system, 40), 0
    async with queue_app().open_async(system.engine.pool) as app, workers.tools_of(system.engine) as tools:
        quick = replace(tools, pacing=replace(tools.pacing, lease=0.2))
        while (await system.batch(batch))["stuck"] == 0:
            worker = await app.job_manager.register_worker()
            job = await app.job_manager.fetch_job(["deliver"], worker)
            assert job is not None
            try:
                await advance(system.engine, quick, job.task_kwargs["cohort"])
                await app.job_manager.finish_job(job, Status.SUCCEEDED, delete_job=True)
            except Crash:
                died += 1
                await recovery.put_back(system.engine.pool, [worker])
    assert deaths.COHORT_DEATHS <= died <= deaths.COHORT_DEATHS + 5
    found = await system.batch(batch)
    assert "1 contact at mail is stuck" in found["waitingFor"]
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 39}
    monkeypatch.setattr(send_window, "_prepare", prepare)
    assert (await system.post(f"batches/{batch}/retry", {})).status_code == 200
    async with working(system):
        assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 40}
    assert Counter(mail.recipients[0] for mail in system.sandbox.mails).most_common(1)[0][1] == 1


async def test_a_cohort_of_which_windows_are_sent_between_deaths_is_never_stuck(idle_system: System) -> None:
    system = idle_system
    batch = await _read(system, 100)
    async with queue_app().open_async(system.engine.pool) as app, workers.tools_of(system.engine) as tools:
        for number in range(2 * deaths.COHORT_DEATHS):
            worker = await app.job_manager.register_worker()
            job = await app.job_manager.fetch_job(["deliver"], worker)
            assert job is not None
            async with system.engine.pool.connection() as connection:
                await cohorts.claim(connection, job.task_kwargs["cohort"], "one")
            windows = Windows(tools.pool, job.task_kwargs["cohort"], "one")
            assert await windows.take(5 * number, 5, system.clock.now()) is Verdict.GO
            await windows.settle(5 * number, RECORD.empty_table())
            assert await recovery.put_back(system.engine.pool, [worker]) == 1
    assert (await system.batch(batch))["stuck"] == 0


async def test_of_a_file_in_spans_the_deaths_of_each_count_alone(idle_system: System) -> None:
    system = idle_system
    await system.publish(MAIL)
    batch = await system.start(contacts(10))
    async with system.engine.pool.connection() as connection:
        await spans.add(connection, batch, [Span(number, 0, 1, 1) for number in range(deaths.FILE_DEATHS + 1)])
        for number in range(deaths.FILE_DEATHS + 1):
            await deaths.note_death(connection, "span", {"batch": batch, "number": number})
    assert (await system.batch(batch))["state"] == "reading"
    async with system.engine.pool.connection() as connection:
        for _ in range(deaths.FILE_DEATHS - 1):
            await deaths.note_death(connection, "span", {"batch": batch, "number": 0})
    assert (await system.batch(batch))["state"] == "failed"


async def test_after_some_deaths_work_rests_so_that_others_are_not_near_when_it_kills(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = idle_system
    await _read(system)
    rests = Counter[bool]()
    monkeypatch.setattr(deaths, "_REST", Backoff(8, 2, 1e6, jitter=1))
    async with queue_app().open_async(system.engine.pool) as app:
        for _ in range(deaths.COHORT_DEATHS - 1):
            rests[await _die(system, app, "deliver")] += 1
    assert rests == {True: 3, False: deaths.COHORT_DEATHS - 4}


async def test_a_gathering_of_singles_that_kills_rests_but_is_never_given_up(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = idle_system
    monkeypatch.setattr(deaths, "_REST", Backoff(8, 2, 15, jitter=1))
    await system.publish(MAIL)
    answer = await system.post("journeys/1/commence", {"id": "1", "properties": {"emailAddress": "c1@example.com"}})
    batch = answer.json()["batchId"]
    async with system.engine.pool.connection() as connection:
        rests = [await deaths.note_death(connection, "gather", {"batch": batch}) for _ in range(50)]
    assert rests[:2] == [0, 0] and all(0 < rest <= 15 for rest in rests[2:])
    async with working(system):
        assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 1}


async def test_a_file_that_kills_its_readers_fails_its_batch(idle_system: System) -> None:
    system = idle_system
    await system.publish(MAIL)
    batch = await system.start(contacts(10))
    async with queue_app().open_async(system.engine.pool) as app:
        for _ in range(deaths.FILE_DEATHS):
            found = await system.batch(batch)
            assert found["state"] == "reading"
            assert await _die(system, app, "intake")
    found = await system.batch(batch)
    assert (found["state"], found["errorCode"]) == ("failed", "unreadable")
    assert found["error"] == "unreadable: Work on the file ended 30 times with the death of its worker."
    async with working(system):
        other = await system.start(contacts(10))
        assert (await system.ended(other))["ledger"]["steps"][0]["outcomes"] == {"sent": 10}
