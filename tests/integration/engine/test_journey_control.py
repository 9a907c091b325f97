"""Pause, resume and cancel of a whole journey; time that stands still."""

import asyncio

import pytest

from caravan.engine import control, reading
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts, enter_single


async def _change(system: System, change: str) -> list[str]:
    answer = await system.post(f"journeys/1/{change}", {})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["batches"])


async def test_a_paused_journey_holds_all_its_batches_and_those_that_start_meanwhile(system: System) -> None:
    await system.publish(WAIT)
    first = await system.start(contacts(3))
    await system.until(first, lambda b: b["state"] == "running")
    assert await _change(system, "pause") == [first]
    second = await system.start(contacts(2))
    single = (await system.post("journeys/1/commence", {"id": "s"})).json()["batchId"]
    await system.until(second, lambda b: b["ledger"]["entered"] == 2)
    await system.turn(days=4)
    await asyncio.sleep(0.5)
    for batch in (first, second, single):
        assert (await system.batch(batch))["state"] == "paused"
    assert sorted(await _change(system, "resume")) == sorted([first, second, single])
    for batch in (first, second):
        assert (await system.ended(batch))["state"] == "completed"


async def test_cancelling_a_journey_recalls_its_open_batches_and_leaves_the_others(system: System) -> None:
    await system.publish(EXIT)
    done = await system.start(contacts(1))
    await system.ended(done)
    await system.publish(WAIT)
    standing = await system.start(contacts(3))
    await system.until(standing, lambda b: b["state"] == "running")
    waiting = (await system.post("batchtrigger/v2", {"entityId": 1})).json()["batchId"]
    assert sorted(await _change(system, "cancel")) == sorted([standing, waiting])
    assert (await system.batch(done))["state"] == "completed"
    assert (await system.batch(standing))["ledger"]["steps"][0]["outcomes"] == {"cancelled": 3}


async def test_another_journeys_batches_are_left_alone(system: System) -> None:
    await system.publish(WAIT)
    await system.publish(WAIT.replace("journey: 1", "journey: 2"), 2)
    other = await system.start(contacts(1), journey=2)
    await system.until(other, lambda b: b["state"] == "running")
    assert await _change(system, "pause") == []
    assert (await system.batch(other))["state"] == "running"
    assert (await system.post("journeys/9/pause", {})).status_code == 404


async def test_frozen_waits_go_on_where_they_stood(system: System) -> None:
    await system.publish(WAIT)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"freezeWaits": True}})).json()
    await system.http.put(opened["uploadUrl"], content=contacts(5), headers={"Content-Type": "text/plain"})
    batch = opened["batchId"]
    await system.until(batch, lambda b: b["state"] == "running")
    await system.turn(days=1)
    await system.post(f"batches/{batch}/pause", {})
    await system.turn(days=10)
    await system.post(f"batches/{batch}/resume", {})
    await system.turn(days=1, hours=23)
    await asyncio.sleep(0.7)
    assert (await system.batch(batch))["ledger"]["steps"][0]["standing"] == 5
    await system.turn(hours=2)
    assert (await system.ended(batch))["state"] == "completed"


@pytest.mark.parametrize("definition", [WAIT, EXIT], ids=["wait", "exit"])
async def test_time_stands_still_only_for_who_is_there(idle_system: System, definition: str) -> None:
    """Who enters while the batch is paused already waits from then on, no longer than the journey says."""
    system = idle_system
    await system.publish(definition)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"freezeWaits": True}})).json()
    batch = opened["batchId"]
    await system.http.put(opened["uploadUrl"], content=contacts(5), headers={"Content-Type": "text/plain"})
    await system.post(f"batches/{batch}/pause", {})
    await system.turn(days=10)
    await reading.read(system.engine, batch, asyncio.Event())
    await system.turn(days=1)
    await system.post(f"batches/{batch}/resume", {})
    if definition == WAIT:
        await system.turn(days=3)
    async with working(system):
        assert (await system.ended(batch, seconds=5))["state"] == "completed"


async def test_a_pause_of_singles_that_were_not_gathered_yet_holds_them(idle_system: System) -> None:
    system = idle_system
    await system.publish(MAIL)
    contact = {"id": "s", "properties": {"emailAddress": "a@example.com"}}
    single = (await system.post("journeys/1/commence", contact)).json()
    await _change(system, "pause")
    async with working(system):
        await system.until(single["batchId"], lambda b: b["ledger"]["entered"] == 1)
        await asyncio.sleep(0.3)
        assert system.sandbox.mails == []
        await _change(system, "resume")
        await system.ended(single["batchId"])
    assert len(system.sandbox.mails) == 1


async def test_a_file_that_comes_in_the_moment_of_a_pause_is_paused_with_the_journey(idle_system: System) -> None:
    system = idle_system
    await system.publish(WAIT)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    headers = {"Content-Type": "text/plain"}
    async with system.engine.pool.connection() as connection, connection.transaction():
        await control.pause_journey(system.engine, connection, system.customer, 1)
        coming = asyncio.create_task(system.http.put(opened["uploadUrl"], content=contacts(3), headers=headers))
        await asyncio.sleep(0.3)
    assert (await coming).status_code == 200
    assert (await system.batch(opened["batchId"]))["state"] == "paused"


async def test_a_batch_that_is_opened_in_the_moment_of_a_pause_waits_for_it(idle_system: System) -> None:
    system = idle_system
    await system.publish(WAIT)
    async with system.engine.pool.connection() as connection, connection.transaction():
        await control.pause_journey(system.engine, connection, system.customer, 1)
        coming = asyncio.create_task(system.start(contacts(3)))
        await asyncio.sleep(0.3)
    assert (await system.batch(await coming))["state"] == "paused"


@pytest.mark.parametrize(("change", "state"), [("pause", "paused"), ("resume", "running")])
async def test_a_single_that_comes_in_the_moment_of_a_change_follows_it(
    idle_system: System, change: str, state: str
) -> None:
    """Its batch is opened by a transaction that nobody can see into yet."""
    system = idle_system
    await system.publish(WAIT)
    if change == "resume":
        await _change(system, "pause")
    async with system.engine.pool.connection() as connection, connection.transaction():
        batch = await enter_single(system.engine, connection, system.customer, b'{"id": "s"}')
        changing = asyncio.create_task(_change(system, change))
        await asyncio.sleep(0.3)
    assert await changing == [batch]
    assert (await system.batch(batch))["state"] == state
