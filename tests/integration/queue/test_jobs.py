"""Jobs that wait in a queue."""

import pytest

from caravan.store import batches
from caravan.store.batches import Source
from caravan.store.database import Connection, rows
from tests.integration.conftest import System
from tests.integration.journeys_for_tests import EXIT


async def _batch(system: System, connection: Connection, size: int, encoding: str | None) -> str:
    """A batch with a file."""
    await system.publish(EXIT)
    batch = await batches.add(connection, system.customer, 1, source=Source.UPLOAD, now=system.clock.now())
    values = {"id": batch.id, "size": size, "encoding": encoding}
    await connection.execute("update batches set bytes = %(size)s, encoding = %(encoding)s where id = %(id)s", values)
    return batch.id


async def test_a_job_that_waits_keeps_out_its_own_kind_and_no_other(idle_system: System) -> None:
    jobs = idle_system.engine.jobs
    async with idle_system.engine.pool.connection() as connection:
        batch = await _batch(idle_system, connection, 3, None)
        for defer in (jobs.fetch, jobs.collect, jobs.read, jobs.gather) * 2:
            await defer(connection, batch)
        found = await rows(connection, "select task_name from procrastinate_jobs order by id")
    assert [each["task_name"] for each in found] == ["fetch", "collect", "read", "gather"]


@pytest.mark.parametrize(
    ("size", "encoding", "queue"),
    [(1_000, None, "intake"), (40 << 20, None, "spans"), (1_000, "gzip", "intake"), (10 << 20, "gzip", "spans")],
)
async def test_a_small_file_is_not_read_behind_a_large_one(
    idle_system: System, size: int, encoding: str | None, queue: str
) -> None:
    async with idle_system.engine.pool.connection() as connection:
        await idle_system.engine.jobs.read(connection, await _batch(idle_system, connection, size, encoding))
        found = await rows(connection, "select queue_name from procrastinate_jobs")
    assert [each["queue_name"] for each in found] == [queue]
