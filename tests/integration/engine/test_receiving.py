"""A batch shows `receiving` as long as a PUT to it is under way, whichever breaks off and whoever dies."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from caravan.engine import receiving as module
from caravan.engine import upkeep
from caravan.engine.receiving import receiving
from caravan.store import sql
from tests.integration.conftest import NDJSON, System
from tests.integration.journeys_for_tests import EXIT, contacts


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SEEN_EVERY", 0.05)


async def _opened(system: System) -> tuple[str, str]:
    await system.publish(EXIT)
    answer = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    return answer["batchId"], answer["uploadUrl"]


async def _state(system: System, batch: str) -> str:
    return str((await system.batch(batch))["state"])


async def _execute(system: System, query: str) -> None:
    async with system.engine.pool.connection() as connection:
        await connection.execute(query)  # type: ignore[arg-type]


async def test_of_two_puts_either_may_break_off(idle_system: System) -> None:
    system = idle_system
    batch, url = await _opened(system)
    goes_on, breaks = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield contacts(1)
        await goes_on.wait()
        yield contacts(2, start=1)

    async def in_vain() -> AsyncIterator[bytes]:
        yield contacts(1)
        await breaks.wait()
        raise ConnectionResetError("the client went away")

    whole = asyncio.create_task(system.http.put(url, content=slowly(), headers=NDJSON))
    broken = asyncio.create_task(system.http.put(url, content=in_vain(), headers=NDJSON))
    await system.until(batch, lambda b: b["waitingFor"] == "the rest of the upload")
    await _until_puts(system, 2)
    breaks.set()
    await asyncio.gather(broken, return_exceptions=True)
    assert await _state(system, batch) == "receiving"
    goes_on.set()
    assert (await whole).status_code == 200
    assert await _state(system, batch) == "reading"
    await _until_puts(system, 0)


async def test_the_last_one_that_breaks_off_leaves_the_batch_awaiting_its_file(idle_system: System) -> None:
    system = idle_system
    batch, _ = await _opened(system)
    async with receiving(system.engine, batch):
        with pytest.raises(ConnectionResetError):
            async with receiving(system.engine, batch):
                raise ConnectionResetError
        assert await _state(system, batch) == "receiving"
    assert await _state(system, batch) == "awaiting_upload"


async def test_puts_that_begin_and_break_off_at_once_leave_nothing(idle_system: System) -> None:
    system = idle_system
    batch, _ = await _opened(system)

    async def one() -> None:
        async with receiving(system.engine, batch):
            assert await _state(system, batch) == "receiving"

    await asyncio.gather(*(one() for _ in range(12)))
    assert await _state(system, batch) == "awaiting_upload"
    await _until_puts(system, 0)


async def test_a_put_whose_process_was_killed_is_forgotten_and_one_that_lives_is_not(idle_system: System) -> None:
    system = idle_system
    dead, _ = await _opened(system)
    both, _ = await _opened(system)
    for put, batch in (("1", dead), ("2", both)):
        await module._note(system.engine, batch, put)
    async with receiving(system.engine, both):
        await upkeep.tidy(system.engine)
        assert (await _state(system, dead), await _state(system, both)) == ("receiving", "receiving")
        await _execute(system, "update puts set seen_at = now() - interval '21 seconds' where id in ('1', '2')")
        await upkeep.tidy(system.engine)
        assert (await _state(system, dead), await _state(system, both)) == ("awaiting_upload", "receiving")
    assert await _state(system, both) == "awaiting_upload"


@pytest.mark.usefixtures("_often")
async def test_a_put_that_was_taken_for_dead_is_seen_again(idle_system: System) -> None:
    """As when another machine starts, or the database was away for long."""
    system = idle_system
    batch, _ = await _opened(system)
    async with receiving(system.engine, batch):
        await _execute(system, sql.load("caravan.store", "batches.sql").receiving_uploads)
        await system.until(batch, lambda b: b["state"] == "receiving")
        await _until_puts(system, 1)
    assert await _state(system, batch) == "awaiting_upload"


async def test_a_put_to_a_batch_that_has_its_file_changes_nothing(idle_system: System) -> None:
    system = idle_system
    batch, url = await _opened(system)
    assert (await system.http.put(url, content=contacts(1), headers=NDJSON)).status_code == 200
    async with receiving(system.engine, batch):
        assert await _state(system, batch) == "reading"
    assert await _state(system, batch) == "reading"


async def _until_puts(system: System, count: int) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while True:
        async with system.engine.pool.connection() as connection:
            found = await (await connection.execute("select count(*) as puts from puts")).fetchone()
        assert found is not None
        if found["puts"] == count:
            return
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.02)


async def test_a_put_that_began_in_time_is_taken_however_long_it_takes(idle_system: System) -> None:
    system = idle_system
    batch, url = await _opened(system)
    goes_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield contacts(1)
        await goes_on.wait()
        yield contacts(2, start=1)

    whole = asyncio.create_task(system.http.put(url, content=slowly(), headers=NDJSON))
    await _until_puts(system, 1)
    await system.turn(hours=13)
    await upkeep.expire_uploads(system.engine)
    goes_on.set()
    assert (await whole).status_code == 200
    assert await _state(system, batch) == "reading"


async def test_a_put_whose_batch_expired_all_the_same_is_told_so(idle_system: System) -> None:
    """Its process was silent for too long, so that nobody knew that it was under way."""
    system = idle_system
    batch, url = await _opened(system)
    goes_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield contacts(1)
        await goes_on.wait()

    late = asyncio.create_task(system.http.put(url, content=slowly(), headers=NDJSON))
    await _until_puts(system, 1)
    await system.turn(hours=13)
    await _execute(system, "delete from puts")
    await upkeep.expire_uploads(system.engine)
    goes_on.set()
    assert (await late).status_code == 410
    assert await _state(system, batch) == "expired"
