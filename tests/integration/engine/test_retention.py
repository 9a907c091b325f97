"""Contacts go after their time; the ledger stays; nothing unnamed is left behind."""

from caravan.engine import retention
from tests.integration.conftest import House
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
        await connection.execute("update customers set retention_days = 40")
    await house.turn(days=2)
    await retention.forget_outlived(house.engine)
    assert (await house.get(f"batches/{batch}/journal")).status_code == 200
    async with house.engine.pool.connection() as connection:
        await connection.execute("update customers set retention_days = null")
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
