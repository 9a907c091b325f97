"""The single starter."""

import asyncio
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from caravan.engine import singles
from caravan.engine.engine import Engine
from caravan.queue.job_manager import queue_app
from caravan.store.arrivals import Arrived
from caravan.store.batches import Batch
from caravan.store.cohorts import Part
from caravan.store.files import LocalFiles
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, enter_single


async def _commence(system: System, number: int) -> dict:  # type: ignore[type-arg]
    properties = {"emailAddress": f"c{number}@example.com", "firstname": "Zoë"}
    answer = await system.post("journeys/1/commence", {"id": str(number), "properties": properties})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def test_a_single_contact_enters_and_is_mailed(system: System) -> None:
    await system.publish(MAIL)
    entered = await _commence(system, 7)
    assert entered["contactId"] == "7"
    found = await system.ended(entered["batchId"])
    assert (found["starter"], found["ledger"]["entered"]) == ("single", 1)
    assert [mail.recipients for mail in system.sandbox.mails] == [["c7@example.com"]]


async def test_neighbours_are_gathered_into_few_cohorts_and_nobody_is_lost(idle_system: System) -> None:
    system = idle_system
    await system.publish(MAIL)
    entered = await asyncio.gather(*(_commence(system, number) for number in range(150)))
    assert len({each["batchId"] for each in entered}) == 1
    async with working(system):
        found = await system.ended(entered[0]["batchId"])
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 150}
    assert len({mail.recipients[0] for mail in system.sandbox.mails}) == 150 == len(system.sandbox.mails)


async def test_the_same_contact_may_enter_again_and_gets_another_message_id(system: System) -> None:
    await system.publish(MAIL)
    first, second = await _commence(system, 7), await _commence(system, 7)
    await system.ended(first["batchId"])
    await system.ended(second["batchId"])
    ids = {mail.content.partition(b"Message-ID: ")[2].partition(b"\r\n")[0] for mail in system.sandbox.mails}
    assert len(ids) == 2 == len(system.sandbox.mails)


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
async def test_what_a_file_would_reject_is_refused(system: System, body: bytes) -> None:
    await system.publish(EXIT)
    answer = await system.http.post(system.path("journeys/1/commence"), content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert (await system.get("batches")).json() == []


async def test_an_unknown_journey_is_not_found(system: System) -> None:
    assert (await system.post("journeys/9/commence", {"id": "1"})).status_code == 404


async def test_an_idempotency_key_enters_once(system: System) -> None:
    await system.publish(WAIT)
    answers = [
        await system.post("journeys/1/commence", {"id": "1"}, **{"Idempotency-Key": "only-once"}) for _ in range(3)
    ]
    assert len({answer.text for answer in answers}) == 1
    found = await system.until(answers[0].json()["batchId"], lambda b: b["ledger"]["entered"] > 0)
    assert found["ledger"]["entered"] == 1


async def test_a_batch_of_singles_completes_when_it_is_empty_and_a_new_one_opens(system: System) -> None:
    await system.publish(EXIT)
    first = await _commence(system, 1)
    await system.ended(first["batchId"])
    assert (await _commence(system, 2))["batchId"] != first["batchId"]


async def test_cancelling_singles_that_are_not_gathered_yet_counts_them(idle_system: System) -> None:
    system = idle_system
    await system.publish(MAIL)
    entered = [await _commence(system, number) for number in range(5)]
    answer = await system.post(f"batches/{entered[0]['batchId']}/cancel", {})
    assert answer.status_code == 200, answer.text
    assert answer.json()["ledger"]["steps"][0]["outcomes"] == {"cancelled": 5}


async def test_after_a_day_another_batch_takes_the_singles_so_that_the_first_can_end(system: System) -> None:
    await system.publish(WAIT)
    first = (await _commence(system, 1))["batchId"]
    await system.until(first, lambda b: b["ledger"]["entered"] == 1)
    await system.turn(hours=25)
    others = await asyncio.gather(*(_commence(system, number) for number in range(2, 8)))
    (second,) = {each["batchId"] for each in others}
    assert second != first
    await system.until(second, lambda b: b["ledger"]["entered"] == 6)
    await system.turn(hours=48)
    assert (await system.ended(first))["ledger"]["entered"] == 1
    assert (await system.batch(second))["state"] == "running"


async def test_while_the_store_stands_still_singles_are_taken_and_recalled_all_the_same(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, put, asked, go = idle_system, LocalFiles.put, threading.Event(), threading.Event()

    def stand_still(self: LocalFiles, local: Path, name: str) -> None:
        asked.set()
        assert go.wait(60)
        put(self, local, name)

    monkeypatch.setattr(LocalFiles, "put", stand_still)
    await system.publish(MAIL)
    async with working(system):
        batch = (await _commence(system, 1))["batchId"]
        await asyncio.to_thread(asked.wait, 60)
        async with asyncio.timeout(30):
            assert (await _commence(system, 2))["batchId"] == batch
            answer = await system.post(f"batches/{batch}/cancel", {})
            assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
            assert (await _commence(system, 3))["batchId"] != batch
        assert (await system.post(f"batches/{batch}/forget", {})).status_code == 409
        go.set()
        found = await system.until(batch, lambda b: b["ledger"]["entered"] == 2)
        assert found["ledger"]["steps"] == [{"step": "mail", "arrived": 2, "standing": 0, "outcomes": {"cancelled": 2}}]
        await system.until(batch, lambda b: len(system.sandbox.mails) == 1)
    assert [line["contact"] for line in await system.lines(f"batches/{batch}/journal")] == ["1", "2"]


async def test_who_begins_another_batch_of_singles_waits_for_a_pause_of_the_journey_with_nothing_locked(
    system: System,
) -> None:
    await system.publish(WAIT)
    first = (await _commence(system, 1))["batchId"]
    await system.until(first, lambda b: b["ledger"]["entered"] == 1)
    await system.turn(hours=25)
    async with system.engine.pool.connection() as connection:
        await connection.execute("select from journeys for update")  # as who pauses it does, and then all its batches
        commencing = asyncio.create_task(_commence(system, 2))
        await asyncio.sleep(0.3)
        await connection.execute("select from batches for update nowait")
        assert not commencing.done()
    assert (await commencing)["batchId"] != first


async def test_who_comes_while_a_gathering_begins_is_not_left_without_a_job(idle_system: System) -> None:
    """Who finds the job in the queue brings none. If it begins before they are there for others to see, it waits."""
    system = idle_system
    await system.publish(EXIT)
    batch = (await _commence(system, 1))["batchId"]
    async with queue_app().open_async(system.engine.pool) as app:
        async with system.engine.pool.connection() as connection:
            await enter_single(system.engine, connection, system.customer, b'{"id": "2"}')
            job = await app.job_manager.fetch_job(["singles"], await app.job_manager.register_worker())
            assert job is not None
            gathering = asyncio.create_task(singles.gather(system.engine, batch))
            await asyncio.sleep(0.2)
        await gathering
    assert (await system.batch(batch))["ledger"]["entered"] == 2


async def test_a_gathering_ends_though_others_come_all_the_time(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, store, loop = idle_system, singles._store, asyncio.get_running_loop()
    stored = list[int]()

    def busily(engine: Engine, batch: Batch, arrived: Sequence[Arrived]) -> Part:
        asyncio.run_coroutine_threadsafe(_commence(system, 100 + len(stored)), loop).result()
        part = store(engine, batch, arrived)
        stored.append(part.size)
        return part

    await system.publish(EXIT)
    monkeypatch.setattr(singles, "_store", busily)
    monkeypatch.setattr(singles, "_GATHERED_BYTES", 1)  # so that there is one cohort each
    for number in range(3):
        batch = (await _commence(system, number))["batchId"]
    async with asyncio.timeout(60):
        await singles.gather(system.engine, batch)
    assert stored == [1, 1, 1]
    stopping = asyncio.Event()
    stopping.set()
    await singles.gather(system.engine, batch, stopping)
    assert stored == [1, 1, 1, 1]  # a worker that stops leaves the others to the next
    async with working(system):
        await system.until(batch, lambda b: b["ledger"]["entered"] >= 6)


async def test_a_gathering_that_was_cut_off_overwrites_nothing_of_the_one_after_it(
    idle_system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PostgreSQL ended its transaction while the store was slow, on a machine of its own; its file comes late."""
    system, put, loop = idle_system, LocalFiles.put, asyncio.get_running_loop()
    reached, slow = asyncio.Event(), threading.Event()

    def slowly(self: LocalFiles, local: Path, name: str) -> None:
        if not reached.is_set():
            local = Path(shutil.copy(local, tmp_path / "elsewhere"))
            loop.call_soon_threadsafe(reached.set)
            slow.wait(10)
        put(self, local, name)

    monkeypatch.setattr(LocalFiles, "put", slowly)
    await system.publish(EXIT)
    batch = (await _commence(system, 1))["batchId"]
    late = asyncio.create_task(singles.gather(system.engine, batch))
    await reached.wait()
    async with system.engine.pool.connection() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and state = 'idle in transaction' and pid <> pg_backend_pid()"
        )
    await _commence(system, 2)
    await singles.gather(system.engine, batch)
    slow.set()
    await asyncio.gather(late, return_exceptions=True)
    async with working(system):
        assert (await system.ended(batch))["ledger"]["entered"] == 2
    assert [line["contact"] for line in await system.lines(f"batches/{batch}/journal")] == ["1", "2"]
