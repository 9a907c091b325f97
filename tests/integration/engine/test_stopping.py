"""A worker that is stopped in the middle of its work: the next one goes on."""

import asyncio
import time

import pytest

from caravan.channels.replies import Stage
from caravan.channels.sandbox import Received
from caravan.engine import reading, upkeep
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import EXIT, MAIL, contacts


async def test_a_file_whose_reading_was_stopped_is_read_by_the_next_worker(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = idle_system
    begun, read = asyncio.Event(), reading.read_contacts
    loop = asyncio.get_running_loop()

    def endless(*arguments, progress, **options):  # type: ignore[no-untyped-def]
        loop.call_soon_threadsafe(begun.set)
        while True:
            progress(1, 2)
            time.sleep(0.01)

    monkeypatch.setattr(reading, "read_contacts", endless)
    await system.publish(EXIT)
    batch = await system.start(contacts(10))
    async with working(system):
        await begun.wait()
    assert (await system.batch(batch))["state"] == "reading"
    monkeypatch.setattr(reading, "read_contacts", read)
    async with working(system):
        assert (await system.ended(batch))["state"] == "completed"


async def test_a_cohort_whose_sending_was_stopped_is_sent_on_by_the_next_worker(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, some_sent = idle_system, asyncio.Event()

    def script(stage: Stage, mail: Received) -> None:
        if len(system.sandbox.mails) >= 20:
            some_sent.set()

    monkeypatch.setattr(system.sandbox, "_script", script)
    await system.publish(MAIL)
    batch = await system.start(contacts(100))
    async with working(system):
        await asyncio.wait_for(some_sent.wait(), 30)
    at_rest = len(system.sandbox.mails)
    assert at_rest < 100
    async with working(system):
        found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 100}
    assert len({mail.recipients[0] for mail in system.sandbox.mails}) == 100 == len(system.sandbox.mails)


async def test_work_whose_job_was_lost_gets_another(idle_system: System) -> None:
    system = idle_system
    await system.publish(EXIT)
    batch = await system.start(contacts(10))
    single = (await system.post("journeys/1/commence", {"id": "s"})).json()["batchId"]
    async with system.engine.pool.connection() as connection:
        await connection.execute("delete from procrastinate_jobs")
    await upkeep.requeue_missing_jobs(system.engine)
    async with working(system):
        for each in (batch, single):
            assert (await system.ended(each))["state"] == "completed"
