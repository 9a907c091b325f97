"""Contacts go after their time; the ledger stays; nothing unnamed is left behind."""

import asyncio
import threading

import pytest

from caravan.engine import control, reading, retention, upkeep
from caravan.store import cohorts
from caravan.store.customers import set_retention
from caravan.store.files import LocalFiles
from caravan.store.windows import Windows
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts

IDLE = "select from pg_stat_activity where state = 'idle in transaction' and datname = current_database()"


def _files(system: System, batch: str) -> list[str]:
    return system.engine.files.names(f"batches/{batch}")


async def _rows(system: System, table: str, batch: str) -> int:
    query = f"select count(*) as n from {table} where batch_id = %s"
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute(query, (batch,))).fetchone()  # type: ignore[arg-type]
    assert found is not None
    return int(found["n"])


async def test_a_forgotten_batch_keeps_its_ledger_and_nothing_else(system: System) -> None:
    await system.publish(MAIL)
    batch = await system.start(contacts(30) + b"nonsense\n")
    before = (await system.ended(batch))["ledger"]
    assert (await system.post(f"batches/{batch}/forget", {})).status_code == 200
    assert (await system.post(f"batches/{batch}/forget", {})).status_code == 200
    assert (await system.batch(batch))["ledger"] == before
    assert _files(system, batch) == []
    assert [await _rows(system, table, batch) for table in ("cohorts", "journal")] == [0, 0]
    for rest in ("rejects", "journal"):
        answer = await system.get(f"batches/{batch}/{rest}")
        assert (answer.status_code, "deleted" in answer.json()["error"]) == (410, True)


async def test_a_batch_in_which_somebody_stands_is_not_forgotten(system: System) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(3))
    await system.until(batch, lambda b: b["state"] == "running")
    assert (await system.post(f"batches/{batch}/forget", {})).status_code == 409


async def test_contacts_are_kept_for_thirty_days_or_as_long_as_the_customer_wants(system: System) -> None:
    await system.publish(EXIT)
    batch = await system.start(contacts(3))
    await system.ended(batch)
    await system.turn(days=29)
    await retention.forget_outlived(system.engine)
    assert (await system.get(f"batches/{batch}/journal")).status_code == 200
    async with system.engine.pool.connection() as connection:
        await set_retention(connection, system.customer, 40)
    await system.turn(days=2)
    await retention.forget_outlived(system.engine)
    assert (await system.get(f"batches/{batch}/journal")).status_code == 200
    async with system.engine.pool.connection() as connection:
        await set_retention(connection, system.customer, None)
    await retention.forget_outlived(system.engine)
    assert (await system.get(f"batches/{batch}/journal")).status_code == 410


async def test_files_that_nothing_names_are_swept_and_the_others_stay(system: System) -> None:
    await system.publish(MAIL)
    batch = await system.start(contacts(30) + b"nonsense\n")
    await system.ended(batch)
    journal, rejects = await system.lines(f"batches/{batch}/journal"), await system.lines(f"batches/{batch}/rejects")
    orphan = system.engine.settings.folder / "orphan"
    orphan.write_bytes(b"half a move")
    system.engine.files.put(orphan, f"batches/{batch}/9-on-dead.parquet")
    await retention.sweep(system.engine)
    assert any("dead" in name for name in _files(system, batch))
    await system.turn(hours=2)
    await retention.sweep(system.engine)
    left = _files(system, batch)
    assert not any("dead" in name or "upload" in name for name in left)
    assert await system.lines(f"batches/{batch}/journal") == journal
    assert await system.lines(f"batches/{batch}/rejects") == rejects


async def _cancel_in_mid_send(system: System) -> str:
    """A batch of 30 that was cancelled while a sender had a window in its hands and died."""
    await system.publish(MAIL)
    batch = await system.start(contacts(30))
    await reading.read(system.engine, batch, asyncio.Event())
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute("select id from cohorts")).fetchone()
        assert found is not None
        assert await cohorts.claim(connection, found["id"], "dead")
    await Windows(system.engine.pool, found["id"], "dead").take(0, 10, system.clock.now())
    assert (await system.post(f"batches/{batch}/cancel", {})).status_code == 200
    return batch


async def test_the_files_of_a_cancel_that_is_still_to_be_carried_out_are_not_swept(idle_system: System) -> None:
    """All senders may be away for longer than a batch is left alone after its end."""
    system = idle_system
    batch = await _cancel_in_mid_send(system)
    await system.turn(hours=2)
    await upkeep.tidy(system.engine)
    async with working(system):
        found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 0)
    assert found["ledger"]["steps"][0]["outcomes"] == {"unknown": 10, "cancelled": 20}


async def test_one_batch_that_cannot_be_forgotten_does_not_keep_the_others(idle_system: System) -> None:
    system = idle_system
    await _cancel_in_mid_send(system)
    await system.turn(minutes=1)
    other = (await system.post("batchtrigger/v2", {"entityId": 1})).json()["batchId"]
    assert (await system.post(f"batches/{other}/cancel", {})).status_code == 200
    await system.turn(days=31)
    await upkeep.tidy(system.engine)
    assert (await system.get(f"batches/{other}/journal")).status_code == 410


async def test_a_chore_that_fails_does_not_keep_the_others_from_being_done(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = idle_system
    await system.publish(EXIT)
    batch = (await system.post("batchtrigger/v2", {"entityId": 1})).json()["batchId"]
    assert (await system.post(f"batches/{batch}/cancel", {})).status_code == 200
    await system.turn(days=31)

    async def fail(*_: object) -> None:
        raise ValueError("a bug in a chore")

    monkeypatch.setattr(upkeep, "requeue_missing_jobs", fail)
    await upkeep.tidy(system.engine)
    assert (await system.get(f"batches/{batch}/journal")).status_code == 410


async def test_a_batch_that_cannot_be_deleted_keeps_no_other(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.publish(EXIT)
    bad, good = await system.start(contacts(3)), await system.start(contacts(3))
    for batch in (bad, good):
        await system.ended(batch)
    delete, delete_folder = LocalFiles.delete, LocalFiles.delete_folder

    def refuse(self: LocalFiles, name: str) -> None:
        if bad in name:
            raise PermissionError("This one is held.")
        (delete_folder if name.endswith(good) else delete)(self, name)

    monkeypatch.setattr(LocalFiles, "delete_folder", refuse)
    monkeypatch.setattr(LocalFiles, "delete", refuse)
    for batch in (bad, good):
        (system.engine.settings.folder / f"files/batches/{batch}/orphan").touch()
    await system.turn(hours=2)
    await retention.sweep(system.engine)
    assert [f"batches/{batch}/orphan" in _files(system, batch) for batch in (bad, good)] == [True, False]
    await system.turn(days=31)
    await retention.forget_outlived(system.engine)
    assert [_files(system, batch) == [] for batch in (bad, good)] == [False, True]
    assert (await system.get(f"batches/{bad}/journal")).status_code == 200


async def test_while_files_are_deleted_nothing_is_locked(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be many, in a store that is far away."""
    await system.publish(EXIT)
    batch = await system.start(contacts(3))
    await system.ended(batch)
    asked, go = threading.Event(), threading.Event()
    delete_folder = LocalFiles.delete_folder

    def slowly(self: LocalFiles, name: str) -> None:
        asked.set()
        assert go.wait(60)
        delete_folder(self, name)

    monkeypatch.setattr(LocalFiles, "delete_folder", slowly)
    forgetting = asyncio.create_task(system.post(f"batches/{batch}/forget", {}))
    await asyncio.to_thread(asked.wait, 10)
    async with system.engine.pool.connection() as connection:
        await connection.execute("select from batches where id = %s for update nowait", (batch,))
        async with asyncio.timeout(30):  # the worker has short transactions of its own
            while await (await connection.execute(IDLE)).fetchall():  # noqa: ASYNC110 - it tells by nothing else
                await asyncio.sleep(0.01)
    go.set()
    assert (await forgetting).status_code == 200


async def test_what_a_reader_writes_after_its_batch_was_forgotten_is_swept(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns within a second that its batch was cancelled; a user may have that forgotten meanwhile."""
    system = idle_system
    await system.publish(EXIT)
    batch = await system.start(contacts(3))
    store = reading._store

    def late(*arguments: object) -> object:
        asyncio.run_coroutine_threadsafe(forget(), loop).result()
        return store(*arguments)  # type: ignore[arg-type]

    async def forget() -> None:
        async with system.engine.pool.connection() as connection:
            await control.cancel(system.engine, connection, system.customer, batch)
        await retention.forget(system.engine, system.customer, batch)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(reading, "_store", late)
    await reading.read(system.engine, batch, asyncio.Event())
    assert _files(system, batch) != []
    await system.turn(hours=2)
    await retention.sweep(system.engine)
    assert _files(system, batch) == []
