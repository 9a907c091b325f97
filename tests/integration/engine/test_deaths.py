"""Work that kills whoever has it in hand: it is given up after some deaths, and nothing else is."""

import asyncio
from collections import Counter

import pytest
from procrastinate import App

from caravan.engine import deaths, reading, recovery
from caravan.engine.queue import queue_app
from tests.integration.conftest import House, working
from tests.integration.journeys_for_tests import MAIL, contacts


@pytest.fixture(autouse=True)
def _restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested is what comes of the deaths."""
    monkeypatch.setattr(deaths, "_LONGEST_REST", 0.0)


async def _die(house: House, app: App, lane: str, *, settling: bool = False) -> bool:
    """A worker takes the next job of a lane, may settle a window of its cohort, and dies; False if there is no job."""
    worker = await app.job_manager.register_worker()
    job = await app.job_manager.fetch_job([lane], worker)
    if job is None:
        return False
    async with house.engine.pool.connection() as connection:
        if settling:
            await connection.execute(
                "insert into windows (cohort_id, first, size, holder, taken_at, record)"
                " select %(cohort)s, 10 * count(*), 10, 'dead', now(), '' from windows",
                job.task_kwargs,
            )
        assert await recovery.put_back(connection, [worker]) == 1
    return True


async def _read(house: House) -> str:
    """A batch that has been read, and stands at its mail."""
    await house.publish(MAIL)
    batch = await house.start(contacts(10))
    await reading.read(house.engine, batch, asyncio.Event())
    return batch


async def test_a_cohort_that_kills_its_workers_is_stuck_says_why_and_can_be_retried(idle_house: House) -> None:
    house = idle_house
    batch = await _read(house)
    async with queue_app().open_async(house.engine.pool) as app:
        for _ in range(deaths.COHORT_DEATHS):
            assert "stuck" not in ((await house.batch(batch))["waitingFor"] or "")
            assert await _die(house, app, "deliver")
    found = await house.batch(batch)
    assert found["waitingFor"].startswith("a retry by command: 10 contacts at mail are stuck since ")
    assert found["waitingFor"].endswith(": the worker that had them in hand died")
    async with working(house):
        assert not house.sandbox.mails
        assert (await house.post(f"batches/{batch}/retry", {})).status_code == 200
        assert (await house.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 10}


async def test_a_cohort_that_comes_on_between_deaths_is_never_stuck(idle_house: House) -> None:
    house = idle_house
    batch = await _read(house)
    async with queue_app().open_async(house.engine.pool) as app:
        for _ in range(2 * deaths.COHORT_DEATHS):
            assert await _die(house, app, "deliver", settling=True)
    assert "stuck" not in (await house.batch(batch))["waitingFor"]


async def test_after_some_deaths_work_rests_so_that_others_are_not_near_when_it_kills(
    idle_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = idle_house
    await _read(house)
    rests = Counter[bool]()
    monkeypatch.setattr(deaths, "_LONGEST_REST", 1e6)
    async with queue_app().open_async(house.engine.pool) as app:
        for _ in range(deaths.COHORT_DEATHS - 1):
            rests[await _die(house, app, "deliver")] += 1
    assert rests == {True: 3, False: deaths.COHORT_DEATHS - 4}


async def test_a_file_that_kills_its_readers_fails_its_batch(idle_house: House) -> None:
    house = idle_house
    await house.publish(MAIL)
    batch = await house.start(contacts(10))
    async with queue_app().open_async(house.engine.pool) as app:
        for _ in range(deaths.FILE_DEATHS):
            found = await house.batch(batch)
            assert found["state"] == "reading"
            assert await _die(house, app, "intake")
    found = await house.batch(batch)
    assert (found["state"], found["errorCode"]) == ("failed", "unreadable")
    assert found["error"] == "unreadable: Reading ended 30 times with the death of its worker."
    async with working(house):
        other = await house.start(contacts(10))
        assert (await house.ended(other))["ledger"]["steps"][0]["outcomes"] == {"sent": 10}
