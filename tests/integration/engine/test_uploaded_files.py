"""The file of a batch is deleted once it is read, and not before; its SHA-256 stays and tells repetitions."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from caravan.engine import control, reading, retention, upkeep
from caravan.errors import Unavailable
from caravan.settings import Settings
from caravan.store.files import LocalFiles
from tests.integration.conftest import NDJSON, System, open_house, working
from tests.integration.journeys_for_tests import WAIT, contacts
from tests.unit.intake.origin import Origin, running, says

FILE = contacts(30) + b"nonsense\n"


def _uploads(system: System) -> list[str]:
    names = system.engine.files.names("batches")
    return [name for name in names if name.rpartition("/")[2].startswith("upload-")]


async def _named(system: System, batch: str) -> object:
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute("select file from batches where id = %s", (batch,))).fetchone()
    assert found is not None
    return found["file"]


async def _opened(system: System) -> tuple[str, str]:
    await system.publish(WAIT)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    return opened["batchId"], opened["uploadUrl"]


async def _put(system: System, url: str, content: bytes) -> int:
    return (await system.http.put(url, content=content, headers=NDJSON)).status_code


async def _gone(system: System) -> None:
    """Deleting comes right after everybody entered."""
    async with asyncio.timeout(60):
        while _uploads(system):  # noqa: ASYNC110 - nothing tells but the folder
            await asyncio.sleep(0.01)


async def test_an_uploaded_file_is_deleted_once_it_is_read(system: System) -> None:
    batch, url = await _opened(system)
    assert await _put(system, url, FILE) == 200
    await system.until(batch, lambda found: found["state"] == "running")
    await _gone(system)
    assert len(await system.lines(f"batches/{batch}/rejects")) == 1


async def test_the_same_bytes_are_still_known_and_others_refused(system: System) -> None:
    batch, url = await _opened(system)
    await _put(system, url, FILE)
    ledger = (await system.until(batch, lambda found: found["state"] == "running"))["ledger"]
    await _gone(system)
    await system.turn(hours=11)
    again = await system.http.put(url, content=FILE, headers=NDJSON)
    assert (again.status_code, again.json()["sha256"]) == (200, hashlib.sha256(FILE).hexdigest())
    assert await _put(system, url, FILE + b"\n") == 409
    assert (await system.batch(batch))["ledger"]["entered"] == ledger["entered"]
    assert _uploads(system) == []


async def test_so_it_is_after_a_cancel_and_after_a_forget(system: System) -> None:
    batch, url = await _opened(system)
    await _put(system, url, FILE)
    await system.until(batch, lambda found: found["state"] == "running")
    await _gone(system)
    await system.post(f"batches/{batch}/cancel", {})
    await system.ended(batch)
    assert [await _put(system, url, each) for each in (FILE, FILE + b"\n")] == [200, 409]
    assert (await system.post(f"batches/{batch}/forget", {})).status_code == 200
    assert [await _put(system, url, each) for each in (FILE, FILE + b"\n")] == [200, 409]


async def test_a_downloaded_file_is_deleted_too(system: System) -> None:
    await system.publish(WAIT)
    async with running(Origin(says("200 OK", FILE))) as url:
        started = await system.post("batchtrigger/v2", {"entityId": 1, "downloadUrl": url})
        await system.until(started.json()["batchId"], lambda found: found["state"] == "running")
    await _gone(system)


async def test_so_is_one_that_cannot_be_used(system: System) -> None:
    batch, url = await _opened(system)
    await _put(system, url, b"[1, 2]")
    assert (await system.ended(batch))["state"] == "failed"
    await _gone(system)
    assert await _put(system, url, b"[1, 2]") == 200


async def test_so_is_one_whose_batch_was_cancelled_before_it_was_read(idle_system: System) -> None:
    system = idle_system
    batch, url = await _opened(system)
    await _put(system, url, FILE)
    async with system.engine.pool.connection() as connection:
        await control.cancel(system.engine, connection, system.customer, batch)
    await upkeep.tidy(system.engine)
    assert _uploads(system) != []  # a worker may still read it
    await system.turn(minutes=2)
    await upkeep.tidy(system.engine)
    assert _uploads(system) == []


async def test_until_everybody_has_entered_it_stays(idle_system: System) -> None:
    system = idle_system
    batch, url = await _opened(system)
    await _put(system, url, FILE)
    await retention.delete_file(system.engine, batch)
    await system.turn(hours=2)
    await upkeep.tidy(system.engine)
    assert len(_uploads(system)) == 1
    await reading.read(system.engine, batch, asyncio.Event())
    assert _uploads(system) == []
    assert await _named(system, batch) is None


async def test_a_commit_that_fails_leaves_it_for_the_next_attempt(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = idle_system
    batch, url = await _opened(system)
    await _put(system, url, FILE)

    async def fails(*arguments: object) -> bool:
        raise Unavailable("PostgreSQL is away.")

    with monkeypatch.context() as patched:
        patched.setattr(reading, "enter", fails)
        with pytest.raises(Unavailable):
            await reading.read(system.engine, batch, asyncio.Event())
    assert len(_uploads(system)) == 1
    await reading.read(system.engine, batch, asyncio.Event())
    assert (await system.batch(batch))["ledger"]["entered"] == 30


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_worker_that_dies_before_or_after_the_deletion_leaves_nothing(
    idle_system: System, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    system = idle_system
    batch, url = await _opened(system)
    await _put(system, url, FILE)
    delete = LocalFiles.delete

    def dies(self: LocalFiles, name: str) -> None:
        if deleted:
            delete(self, name)
        raise OSError("The process dies here.")

    with monkeypatch.context() as patched:
        patched.setattr(LocalFiles, "delete", dies)
        await reading.read(system.engine, batch, asyncio.Event())
    assert (await system.batch(batch))["state"] == "running"
    assert await _named(system, batch) is not None
    await system.turn(minutes=2)
    await upkeep.tidy(system.engine)
    assert _uploads(system) == []
    assert await _named(system, batch) is None


@pytest.fixture
async def keeping(settings: Settings, sandbox: object) -> AsyncIterator[System]:
    kept = settings.model_copy(update={"keep_uploads": True})
    async with open_house(kept, sandbox) as system, working(system):  # type: ignore[arg-type]
        yield system


async def test_a_setting_keeps_it_as_long_as_the_contacts(keeping: System) -> None:
    batch, url = await _opened(keeping)
    await _put(keeping, url, FILE)
    await keeping.until(batch, lambda found: found["state"] == "running")
    await keeping.post(f"batches/{batch}/cancel", {})
    await keeping.ended(batch)
    await keeping.turn(hours=2)
    await upkeep.tidy(keeping.engine)
    assert len(_uploads(keeping)) == 1
    await keeping.turn(days=31)
    await upkeep.tidy(keeping.engine)
    assert _uploads(keeping) == []
