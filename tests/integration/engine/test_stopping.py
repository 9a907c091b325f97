"""A worker that is stopped in the middle of its work: the next one goes on."""

import asyncio
import time

import pytest

from caravan.channels.replies import Stage
from caravan.channels.sandbox import Received
from caravan.engine import reading, upkeep
from tests.integration.conftest import House, working
from tests.integration.journeys_for_tests import EXIT, MAIL, contacts


async def test_a_file_whose_reading_was_stopped_is_read_by_the_next_worker(
    idle_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = idle_house
    begun, read = asyncio.Event(), reading.read_contacts
    loop = asyncio.get_running_loop()

    def endless(*arguments, progress, **options):  # type: ignore[no-untyped-def]
        loop.call_soon_threadsafe(begun.set)
        while True:
            progress(1, 2)
            time.sleep(0.01)

    monkeypatch.setattr(reading, "read_contacts", endless)
    await house.publish(EXIT)
    batch = await house.start(contacts(10))
    async with working(house):
        await begun.wait()
    assert (await house.batch(batch))["state"] == "reading"
    monkeypatch.setattr(reading, "read_contacts", read)
    async with working(house):
        assert (await house.ended(batch))["state"] == "completed"


async def test_a_cohort_whose_sending_was_stopped_is_sent_on_by_the_next_worker(
    idle_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, some_sent = idle_house, asyncio.Event()

    def script(stage: Stage, mail: Received) -> None:
        if len(house.sandbox.mails) >= 20:
            some_sent.set()

    monkeypatch.setattr(house.sandbox, "_script", script)
    await house.publish(MAIL)
    batch = await house.start(contacts(100))
    async with working(house):
        await asyncio.wait_for(some_sent.wait(), 30)
    at_rest = len(house.sandbox.mails)
    assert at_rest < 100
    async with working(house):
        found = await house.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 100}
    assert len({mail.recipients[0] for mail in house.sandbox.mails}) == 100 == len(house.sandbox.mails)


async def test_work_whose_job_was_lost_gets_another(idle_house: House) -> None:
    house = idle_house
    await house.publish(EXIT)
    batch = await house.start(contacts(10))
    single = (await house.post("journeys/1/commence", {"id": "s"})).json()["batchId"]
    async with house.engine.pool.connection() as connection:
        await connection.execute("delete from procrastinate_jobs")
    await upkeep.set_going(house.engine)
    async with working(house):
        for each in (batch, single):
            assert (await house.ended(each))["state"] == "completed"
