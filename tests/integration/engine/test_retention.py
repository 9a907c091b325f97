"""Contacts go after their time; the ledger stays; nothing unnamed is left behind."""

import asyncio
import threading

import pytest

from caravan.engine import control, reading, retention, upkeep
from caravan.store import cohorts
from caravan.store.customers import set_retention
from caravan.store.files import LocalFiles
from caravan.store.windows import Windows
from tests.integration.conftest import House, working
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts


def _files(house: House, batch: str) -> list[str]:
    return house.engine.files.names(f"batches/{batch}")


async def _rows(house: House, table: str, batch: str) -> int:
    query = f"select count(*) as n from {table} where batch_id = %s"
    async with house.engine.pool.connection() as connection:
        found = await (await connection.execute(query, (batch,))).fetchone()  # type: ignore[arg-type]
    assert found is not None
    return int(found["n"])


async def test_a_forgotten_batch_keeps_its_ledger_and_nothing_else(house: House) -> None:
    await house.publish(MAIL)
    batch = await house.start(contacts(30) + b"nonsense\n")
    before = (await house.ended(batch))["ledger"]
    assert (await house.post(f"batches/{batch}/forget", {})).status_code == 200
    assert (await house.post(f"batches/{batch}/forget", {})).status_code == 200
    assert (await house.batch(batch))["ledger"] == before
    assert _files(house, batch) == []
    assert [await _rows(house, table, batch) for table in ("cohorts", "journal")] == [0, 0]
    for rest in ("rejects", "journal"):
        answer = await house.get(f"batches/{batch}/{rest}")
        assert (answer.status_code, "deleted" in answer.json()["error"]) == (410, True)


async def test_a_batch_in_which_somebody_stands_is_not_forgotten(house: House) -> None:
    await house.publish(WAIT)
    batch = await house.start(contacts(3))
    await house.until(batch, lambda b: b["state"] == "running")
    assert (await house.post(f"batches/{batch}/forget", {})).status_code == 409


async def test_contacts_are_kept_for_thirty_days_or_as_long_as_the_customer_wants(house: House) -> None:
    await house.publish(EXIT)
    batch = await house.start(contacts(3))
    await house.ended(batch)
    await house.turn(days=29)
    await retention.forget_outlived(house.engine)
    assert (await house.get(f"batches/{batch}/journal")).status_code == 200
    async with house.engine.pool.connection() as connection:
        await set_retention(connection, house.customer, 40)
    await house.turn(days=2)
    await retention.forget_outlived(house.engine)
    assert (await house.get(f"batches/{batch}/journal")).status_code == 200
    async with house.engine.pool.connection() as connection:
        await set_retention(connection, house.customer, None)
    await retention.forget_outlived(house.engine)
    assert (await house.get(f"batches/{batch}/journal")).status_code == 410


async def test_files_that_nothing_names_are_swept_and_the_others_stay(house: House) -> None:
    await house.publish(MAIL)
    batch = await house.start(contacts(30) + b"nonsense\n")
    await house.ended(batch)
    journal, rejects = await house.lines(f"batches/{batch}/journal"), await house.lines(f"batches/{batch}/rejects")
    orphan = house.engine.settings.folder / "orphan"
    orphan.write_bytes(b"half a move")
    house.engine.files.put(orphan, f"batches/{batch}/9-on-dead.parquet")
    await retention.sweep(house.engine)
    assert any("dead" in name for name in _files(house, batch))
    await house.turn(hours=2)
    await retention.sweep(house.engine)
    left = _files(house, batch)
    assert not any("dead" in name or "upload" in name for name in left)
    assert await house.lines(f"batches/{batch}/journal") == journal
    assert await house.lines(f"batches/{batch}/rejects") == rejects


async def _cancel_in_mid_send(house: House) -> str:
    """A batch of 30 that was cancelled while a sender had a window in its hands and died."""
    await house.publish(MAIL)
    batch = await house.start(contacts(30))
    await reading.read(house.engine, batch, asyncio.Event())
    async with house.engine.pool.connection() as connection:
        found = await (await connection.execute("select id from cohorts")).fetchone()
        assert found is not None
        assert await cohorts.hold(connection, found["id"], "dead")
    await Windows(house.engine.pool, found["id"], "dead").take(0, 10, house.clock.now())
    assert (await house.post(f"batches/{batch}/cancel", {})).status_code == 200
    return batch


async def test_the_files_of_a_cancel_that_is_still_to_be_carried_out_are_not_swept(idle_house: House) -> None:
    """All senders may be away for longer than a batch is left alone after its end."""
    house = idle_house
    batch = await _cancel_in_mid_send(house)
    await house.turn(hours=2)
    await upkeep.tidy(house.engine)
    async with working(house):
        found = await house.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 0)
    assert found["ledger"]["steps"][0]["outcomes"] == {"unknown": 10, "cancelled": 20}


async def test_one_batch_that_cannot_be_forgotten_does_not_keep_the_others(idle_house: House) -> None:
    house = idle_house
    await _cancel_in_mid_send(house)
    await house.turn(minutes=1)
    other = (await house.post("batchtrigger/v2", {"entityId": 1})).json()["batchId"]
    assert (await house.post(f"batches/{other}/cancel", {})).status_code == 200
    await house.turn(days=31)
    await upkeep.tidy(house.engine)
    assert (await house.get(f"batches/{other}/journal")).status_code == 410


async def test_a_chore_that_fails_does_not_keep_the_others_from_being_done(
    idle_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = idle_house
    await house.publish(EXIT)
    batch = (await house.post("batchtrigger/v2", {"entityId": 1})).json()["batchId"]
    assert (await house.post(f"batches/{batch}/cancel", {})).status_code == 200
    await house.turn(days=31)

    async def fail(*_: object) -> None:
        raise ValueError("a bug in a chore")

    monkeypatch.setattr(upkeep, "set_going", fail)
    await upkeep.tidy(house.engine)
    assert (await house.get(f"batches/{batch}/journal")).status_code == 410


async def test_a_batch_that_cannot_be_deleted_keeps_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.publish(EXIT)
    bad, good = await house.start(contacts(3)), await house.start(contacts(3))
    for batch in (bad, good):
        await house.ended(batch)
    delete, delete_folder = LocalFiles.delete, LocalFiles.delete_folder

    def refuse(self: LocalFiles, name: str) -> None:
        if bad in name:
            raise PermissionError("This one is held.")
        (delete_folder if name.endswith(good) else delete)(self, name)

    monkeypatch.setattr(LocalFiles, "delete_folder", refuse)
    monkeypatch.setattr(LocalFiles, "delete", refuse)
    for batch in (bad, good):
        (house.engine.settings.folder / f"files/batches/{batch}/orphan").touch()
    await house.turn(hours=2)
    await retention.sweep(house.engine)
    assert [f"batches/{batch}/orphan" in _files(house, batch) for batch in (bad, good)] == [True, False]
    await house.turn(days=31)
    await retention.forget_outlived(house.engine)
    assert [_files(house, batch) == [] for batch in (bad, good)] == [False, True]
    assert (await house.get(f"batches/{bad}/journal")).status_code == 200


async def test_while_files_are_deleted_nothing_is_locked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be many, in a store that is far away."""
    await house.publish(EXIT)
    batch = await house.start(contacts(3))
    await house.ended(batch)
    asked, go = threading.Event(), threading.Event()
    delete_folder = LocalFiles.delete_folder

    def slowly(self: LocalFiles, name: str) -> None:
        asked.set()
        assert go.wait(10)
        delete_folder(self, name)

    monkeypatch.setattr(LocalFiles, "delete_folder", slowly)
    forgetting = asyncio.create_task(house.post(f"batches/{batch}/forget", {}))
    await asyncio.to_thread(asked.wait, 10)
    async with house.engine.pool.connection() as connection:
        await connection.execute("select from batches where id = %s for update nowait", (batch,))
        held = await connection.execute("select from pg_stat_activity where state = 'idle in transaction'")
        assert not await held.fetchall()
    go.set()
    assert (await forgetting).status_code == 200


async def test_what_a_reader_writes_after_its_batch_was_forgotten_is_swept(
    idle_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns within a second that its batch was cancelled; a user may have that forgotten meanwhile."""
    house = idle_house
    await house.publish(EXIT)
    batch = await house.start(contacts(3))
    store = reading._store

    def late(*arguments: object) -> object:
        asyncio.run_coroutine_threadsafe(forget(), loop).result()
        return store(*arguments)  # type: ignore[arg-type]

    async def forget() -> None:
        async with house.engine.pool.connection() as connection:
            await control.cancel(house.engine, connection, house.customer, batch)
        await retention.forget(house.engine, house.customer, batch)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(reading, "_store", late)
    await reading.read(house.engine, batch, asyncio.Event())
    assert _files(house, batch) != []
    await house.turn(hours=2)
    await retention.sweep(house.engine)
    assert _files(house, batch) == []
