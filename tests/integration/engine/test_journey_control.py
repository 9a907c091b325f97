"""Pause, resume and cancel of a whole journey; time that stands still."""

import asyncio

import pytest

from caravan.engine import control, reading, singles
from tests.integration.conftest import House, working
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts


async def _change(house: House, change: str) -> list[str]:
    answer = await house.post(f"journeys/1/{change}", {})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["batches"])


async def test_a_paused_journey_holds_all_its_batches_and_those_that_start_meanwhile(house: House) -> None:
    await house.publish(WAIT)
    first = await house.start(contacts(3))
    await house.until(first, lambda b: b["state"] == "running")
    assert await _change(house, "pause") == [first]
    second = await house.start(contacts(2))
    single = (await house.post("journeys/1/commence", {"id": "s"})).json()["batchId"]
    await house.until(second, lambda b: b["ledger"]["entered"] == 2)
    await house.turn(days=4)
    await asyncio.sleep(0.5)
    for batch in (first, second, single):
        assert (await house.batch(batch))["state"] == "paused"
    assert sorted(await _change(house, "resume")) == sorted([first, second, single])
    for batch in (first, second):
        assert (await house.ended(batch))["state"] == "completed"


async def test_cancelling_a_journey_recalls_its_open_batches_and_leaves_the_others(house: House) -> None:
    await house.publish(EXIT)
    done = await house.start(contacts(1))
    await house.ended(done)
    await house.publish(WAIT)
    standing = await house.start(contacts(3))
    await house.until(standing, lambda b: b["state"] == "running")
    waiting = (await house.post("batchtrigger/v2", {"entityId": 1})).json()["batchId"]
    assert sorted(await _change(house, "cancel")) == sorted([standing, waiting])
    assert (await house.batch(done))["state"] == "completed"
    assert (await house.batch(standing))["ledger"]["steps"][0]["outcomes"] == {"cancelled": 3}


async def test_another_journeys_batches_are_left_alone(house: House) -> None:
    await house.publish(WAIT)
    await house.publish(WAIT.replace("journey: 1", "journey: 2"), 2)
    other = await house.start(contacts(1), journey=2)
    await house.until(other, lambda b: b["state"] == "running")
    assert await _change(house, "pause") == []
    assert (await house.batch(other))["state"] == "running"
    assert (await house.post("journeys/9/pause", {})).status_code == 404


async def test_frozen_waits_go_on_where_they_stood(house: House) -> None:
    await house.publish(WAIT)
    opened = (await house.post("batchtrigger/v2", {"entityId": 1, "options": {"freezeWaits": True}})).json()
    await house.http.put(opened["uploadUrl"], content=contacts(5), headers={"Content-Type": "text/plain"})
    batch = opened["batchId"]
    await house.until(batch, lambda b: b["state"] == "running")
    await house.turn(days=1)
    await house.post(f"batches/{batch}/pause", {})
    await house.turn(days=10)
    await house.post(f"batches/{batch}/resume", {})
    await house.turn(days=1, hours=23)
    await asyncio.sleep(0.7)
    assert (await house.batch(batch))["ledger"]["steps"][0]["standing"] == 5
    await house.turn(hours=2)
    assert (await house.ended(batch))["state"] == "completed"


@pytest.mark.parametrize("definition", [WAIT, EXIT], ids=["wait", "exit"])
async def test_time_stands_still_only_for_who_is_there(idle_house: House, definition: str) -> None:
    """Who enters while the batch is paused already waits from then on, no longer than the journey says."""
    house = idle_house
    await house.publish(definition)
    opened = (await house.post("batchtrigger/v2", {"entityId": 1, "options": {"freezeWaits": True}})).json()
    batch = opened["batchId"]
    await house.http.put(opened["uploadUrl"], content=contacts(5), headers={"Content-Type": "text/plain"})
    await house.post(f"batches/{batch}/pause", {})
    await house.turn(days=10)
    await reading.read(house.engine, batch, asyncio.Event())
    await house.turn(days=1)
    await house.post(f"batches/{batch}/resume", {})
    if definition == WAIT:
        await house.turn(days=3)
    async with working(house):
        assert (await house.ended(batch, seconds=5))["state"] == "completed"


async def test_a_pause_of_singles_that_were_not_gathered_yet_holds_them(idle_house: House) -> None:
    house = idle_house
    await house.publish(MAIL)
    contact = {"id": "s", "properties": {"emailAddress": "a@example.com"}}
    single = (await house.post("journeys/1/commence", contact)).json()
    await _change(house, "pause")
    async with working(house):
        await house.until(single["batchId"], lambda b: b["ledger"]["entered"] == 1)
        await asyncio.sleep(0.3)
        assert house.sandbox.mails == []
        await _change(house, "resume")
        await house.ended(single["batchId"])
    assert len(house.sandbox.mails) == 1


async def test_a_file_that_comes_in_the_moment_of_a_pause_is_paused_with_the_journey(idle_house: House) -> None:
    house = idle_house
    await house.publish(WAIT)
    opened = (await house.post("batchtrigger/v2", {"entityId": 1})).json()
    headers = {"Content-Type": "text/plain"}
    async with house.engine.pool.connection() as connection, connection.transaction():
        await control.pause_journey(house.engine, connection, house.customer, 1)
        coming = asyncio.create_task(house.http.put(opened["uploadUrl"], content=contacts(3), headers=headers))
        await asyncio.sleep(0.3)
    assert (await coming).status_code == 200
    assert (await house.batch(opened["batchId"]))["state"] == "paused"


async def test_a_batch_that_is_opened_in_the_moment_of_a_pause_waits_for_it(idle_house: House) -> None:
    house = idle_house
    await house.publish(WAIT)
    async with house.engine.pool.connection() as connection, connection.transaction():
        await control.pause_journey(house.engine, connection, house.customer, 1)
        coming = asyncio.create_task(house.start(contacts(3)))
        await asyncio.sleep(0.3)
    assert (await house.batch(await coming))["state"] == "paused"


@pytest.mark.parametrize(("change", "state"), [("pause", "paused"), ("resume", "running")])
async def test_a_single_that_comes_in_the_moment_of_a_change_follows_it(
    idle_house: House, change: str, state: str
) -> None:
    """Its batch is opened by a transaction that nobody can see into yet."""
    house = idle_house
    await house.publish(WAIT)
    if change == "resume":
        await _change(house, "pause")
    async with house.engine.pool.connection() as connection, connection.transaction():
        entered = await singles.commence(house.engine, connection, house.customer, 1, b'{"id": "s"}')
        changing = asyncio.create_task(_change(house, change))
        await asyncio.sleep(0.3)
    assert await changing == [entered.batch]
    assert (await house.batch(entered.batch))["state"] == state
