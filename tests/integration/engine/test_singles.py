"""The single starter."""

import asyncio
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from psycopg.rows import DictRow

from caravan.engine import singles
from caravan.engine.engine import Engine
from caravan.queue.job_manager import queue_app
from caravan.store.batches import Batch
from caravan.store.cohorts import Part
from caravan.store.files import LocalFiles
from tests.integration.conftest import House, working
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT


async def _commence(house: House, number: int) -> dict:  # type: ignore[type-arg]
    properties = {"emailAddress": f"c{number}@example.com", "firstname": "Zoë"}
    answer = await house.post("journeys/1/commence", {"id": str(number), "properties": properties})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def test_a_single_contact_enters_and_is_mailed(house: House) -> None:
    await house.publish(MAIL)
    entered = await _commence(house, 7)
    assert entered["contactId"] == "7"
    found = await house.ended(entered["batchId"], seconds=3)
    assert (found["starter"], found["ledger"]["entered"]) == ("single", 1)
    assert [mail.recipients for mail in house.sandbox.mails] == [["c7@example.com"]]


async def test_neighbours_are_gathered_into_few_cohorts_and_nobody_is_lost(idle_house: House) -> None:
    house = idle_house
    await house.publish(MAIL)
    entered = await asyncio.gather(*(_commence(house, number) for number in range(150)))
    assert len({each["batchId"] for each in entered}) == 1
    async with working(house):
        found = await house.ended(entered[0]["batchId"])
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 150}
    assert len({mail.recipients[0] for mail in house.sandbox.mails}) == 150 == len(house.sandbox.mails)


async def test_the_same_contact_may_enter_again_and_gets_another_message_id(house: House) -> None:
    await house.publish(MAIL)
    first, second = await _commence(house, 7), await _commence(house, 7)
    await house.ended(first["batchId"])
    await house.ended(second["batchId"])
    ids = {mail.content.partition(b"Message-ID: ")[2].partition(b"\r\n")[0] for mail in house.sandbox.mails}
    assert len(ids) == 2 == len(house.sandbox.mails)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"properties": {}}',
        b'{"id": ""}',
        b'{"id": "1", "properties": 7}',
        b'{"id": "1", "properties": {"a": NaN}}',
    ],
)
async def test_what_a_file_would_reject_is_refused(house: House, body: bytes) -> None:
    await house.publish(EXIT)
    answer = await house.http.post(house.path("journeys/1/commence"), content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert (await house.get("batches")).json() == []


async def test_an_unknown_journey_is_not_found(house: House) -> None:
    assert (await house.post("journeys/9/commence", {"id": "1"})).status_code == 404


async def test_an_idempotency_key_enters_once(house: House) -> None:
    await house.publish(WAIT)
    answers = [
        await house.post("journeys/1/commence", {"id": "1"}, **{"Idempotency-Key": "only-once"}) for _ in range(3)
    ]
    assert len({answer.text for answer in answers}) == 1
    found = await house.until(answers[0].json()["batchId"], lambda b: b["ledger"]["entered"] > 0)
    assert found["ledger"]["entered"] == 1


async def test_a_batch_of_singles_completes_when_it_is_empty_and_a_new_one_opens(house: House) -> None:
    await house.publish(EXIT)
    first = await _commence(house, 1)
    await house.ended(first["batchId"])
    assert (await _commence(house, 2))["batchId"] != first["batchId"]


async def test_cancelling_singles_that_are_not_gathered_yet_counts_them(idle_house: House) -> None:
    house = idle_house
    await house.publish(MAIL)
    entered = [await _commence(house, number) for number in range(5)]
    answer = await house.post(f"batches/{entered[0]['batchId']}/cancel", {})
    assert answer.status_code == 200, answer.text
    assert answer.json()["ledger"]["steps"][0]["outcomes"] == {"cancelled": 5}


async def test_after_a_day_another_batch_takes_the_singles_so_that_the_first_can_end(house: House) -> None:
    await house.publish(WAIT)
    first = (await _commence(house, 1))["batchId"]
    await house.until(first, lambda b: b["ledger"]["entered"] == 1)
    await house.turn(hours=25)
    others = await asyncio.gather(*(_commence(house, number) for number in range(2, 8)))
    (second,) = {each["batchId"] for each in others}
    assert second != first
    await house.until(second, lambda b: b["ledger"]["entered"] == 6)
    await house.turn(hours=48)
    assert (await house.ended(first))["ledger"]["entered"] == 1
    assert (await house.batch(second))["state"] == "running"


async def test_while_the_store_stands_still_singles_are_taken_and_recalled_all_the_same(
    idle_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, put, asked, go = idle_house, LocalFiles.put, threading.Event(), threading.Event()

    def stand_still(self: LocalFiles, local: Path, name: str) -> None:
        asked.set()
        assert go.wait(20)
        put(self, local, name)

    monkeypatch.setattr(LocalFiles, "put", stand_still)
    await house.publish(MAIL)
    async with working(house):
        batch = (await _commence(house, 1))["batchId"]
        await asyncio.to_thread(asked.wait, 10)
        async with asyncio.timeout(2):
            assert (await _commence(house, 2))["batchId"] == batch
            answer = await house.post(f"batches/{batch}/cancel", {})
            assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
            assert (await _commence(house, 3))["batchId"] != batch
        assert (await house.post(f"batches/{batch}/forget", {})).status_code == 409
        go.set()
        found = await house.until(batch, lambda b: b["ledger"]["entered"] == 2)
        assert found["ledger"]["steps"] == [{"step": "mail", "arrived": 2, "standing": 0, "outcomes": {"cancelled": 2}}]
        await house.until(batch, lambda b: len(house.sandbox.mails) == 1)
    assert [line["contact"] for line in await house.lines(f"batches/{batch}/journal")] == ["1", "2"]


async def test_who_begins_another_batch_of_singles_waits_for_a_pause_of_the_journey_with_nothing_locked(
    house: House,
) -> None:
    await house.publish(WAIT)
    first = (await _commence(house, 1))["batchId"]
    await house.until(first, lambda b: b["ledger"]["entered"] == 1)
    await house.turn(hours=25)
    async with house.engine.pool.connection() as connection:
        await connection.execute("select from journeys for update")  # as who pauses it does, and then all its batches
        commencing = asyncio.create_task(_commence(house, 2))
        await asyncio.sleep(0.3)
        await connection.execute("select from batches for update nowait")
        assert not commencing.done()
    assert (await commencing)["batchId"] != first


async def test_who_comes_while_a_gathering_begins_is_not_left_without_a_job(idle_house: House) -> None:
    """Who finds the job in the queue brings none. If it begins before they are there for others to see, it waits."""
    house = idle_house
    await house.publish(EXIT)
    batch = (await _commence(house, 1))["batchId"]
    async with queue_app().open_async(house.engine.pool) as app:
        async with house.engine.pool.connection() as connection:
            body = b'{"id": "2"}'
            await singles.commence(house.engine, connection, house.customer, 1, body)
            job = await app.job_manager.fetch_job(["singles"], await app.job_manager.register_worker())
            assert job is not None
            gathering = asyncio.create_task(singles.gather(house.engine, batch))
            await asyncio.sleep(0.2)
        await gathering
    assert (await house.batch(batch))["ledger"]["entered"] == 2


async def test_a_gathering_ends_though_others_come_all_the_time(
    idle_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, store, loop = idle_house, singles._store, asyncio.get_running_loop()
    stored = list[int]()

    def busily(engine: Engine, batch: Batch, arrived: Sequence[DictRow]) -> Part:
        asyncio.run_coroutine_threadsafe(_commence(house, 100 + len(stored)), loop).result()
        part = store(engine, batch, arrived)
        stored.append(part.size)
        return part

    await house.publish(EXIT)
    monkeypatch.setattr(singles, "_store", busily)
    monkeypatch.setattr(singles, "_GATHERED_BYTES", 1)  # so that there is one cohort each
    for number in range(3):
        batch = (await _commence(house, number))["batchId"]
    async with asyncio.timeout(5):
        await singles.gather(house.engine, batch)
    assert stored == [1, 1, 1]
    stopping = asyncio.Event()
    stopping.set()
    await singles.gather(house.engine, batch, stopping)
    assert stored == [1, 1, 1, 1]  # a worker that stops leaves the others to the next
    async with working(house):
        await house.until(batch, lambda b: b["ledger"]["entered"] >= 6)


async def test_a_gathering_that_was_cut_off_overwrites_nothing_of_the_one_after_it(
    idle_house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PostgreSQL ended its transaction while the store was slow, on a machine of its own; its file comes late."""
    house, put, loop = idle_house, LocalFiles.put, asyncio.get_running_loop()
    reached, slow = asyncio.Event(), threading.Event()

    def slowly(self: LocalFiles, local: Path, name: str) -> None:
        if not reached.is_set():
            local = Path(shutil.copy(local, tmp_path / "elsewhere"))
            loop.call_soon_threadsafe(reached.set)
            slow.wait(10)
        put(self, local, name)

    monkeypatch.setattr(LocalFiles, "put", slowly)
    await house.publish(EXIT)
    batch = (await _commence(house, 1))["batchId"]
    late = asyncio.create_task(singles.gather(house.engine, batch))
    await reached.wait()
    async with house.engine.pool.connection() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and state = 'idle in transaction' and pid <> pg_backend_pid()"
        )
    await _commence(house, 2)
    await singles.gather(house.engine, batch)
    slow.set()
    await asyncio.gather(late, return_exceptions=True)
    async with working(house):
        assert (await house.ended(batch))["ledger"]["entered"] == 2
    assert [line["contact"] for line in await house.lines(f"batches/{batch}/journal")] == ["1", "2"]
