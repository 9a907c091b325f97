"""Rows without their job, as after a repair by hand: each gets it again."""

import asyncio
from dataclasses import replace

import pytest

from caravan.engine import reading, upkeep
from caravan.settings import Settings
from caravan.store.database import rows
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import EXIT, MAIL, SPRING, contacts


async def _lose_all_jobs(system: System) -> list[str]:
    """The tasks of the jobs that are deleted."""
    async with system.engine.pool.connection() as connection:
        return [each["task_name"] for each in await rows(connection, "delete from procrastinate_jobs returning *")]


async def _mended(system: System) -> list[str]:
    """The tasks of the jobs that are there after the one function that mends."""
    await system.turn(minutes=2)
    await upkeep.requeue_missing_jobs(system.engine)
    await upkeep.requeue_missing_jobs(system.engine)  # finds that all have theirs
    async with system.engine.pool.connection() as connection:
        return [each["task_name"] for each in await rows(connection, "select task_name from procrastinate_jobs")]


@pytest.mark.parametrize("journey", [MAIL, SPRING, EXIT], ids=["deliver", "advance", "exit"])
async def test_cohorts_get_the_jobs_that_they_lack_one_each(idle_system: System, journey: str) -> None:
    system = idle_system
    await system.publish(journey)
    batch = await system.start(contacts(250))
    await reading.read(system.engine, batch, asyncio.Event())
    await _lose_all_jobs(system)
    assert await _mended(system) == ["advance"] * 3
    async with working(system):
        await system.until(batch, lambda found: found["ledger"]["steps"][0]["standing"] == 0)


async def test_files_and_singles_get_the_jobs_that_they_lack(idle_system: System) -> None:
    system = idle_system
    await system.publish(EXIT)
    read = await system.start(contacts(10))
    single = (await system.post("journeys/1/commence", {"id": "1", "properties": {}})).json()["batchId"]
    fetch = await system.post("batchtrigger/v2", {"entityId": 1, "downloadUrl": "http://127.0.0.1:9/file"})
    assert fetch.status_code == 200
    lost = await _lose_all_jobs(system)
    assert sorted(lost) == ["fetch", "gather", "read"]
    assert sorted(await _mended(system)) == sorted(lost)
    async with working(system):
        for batch in (read, single):
            assert (await system.ended(batch))["state"] == "completed"


async def test_spans_get_the_jobs_that_they_lack(idle_system: System, settings: Settings) -> None:
    spans = settings.model_copy(update={"span_bytes": 2_000, "max_row_bytes": 1_000})
    system = replace(idle_system, engine=replace(idle_system.engine, settings=spans))
    await system.publish(EXIT)
    batch = await system.start(contacts(200))
    await reading.read(system.engine, batch, asyncio.Event())
    assert set(await _lose_all_jobs(system)) == {"read", "span"}
    assert await _mended(system) == ["read"]
    async with working(system):
        assert (await system.ended(batch))["ledger"]["entered"] == 200
