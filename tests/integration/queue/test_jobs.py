"""Jobs that wait in a queue."""

from caravan.store.database import rows
from tests.integration.conftest import System


async def test_a_job_that_waits_keeps_out_its_own_kind_and_no_other(idle_system: System) -> None:
    jobs = idle_system.engine.jobs
    async with idle_system.engine.pool.connection() as connection:
        for defer in (jobs.fetch, jobs.collect, jobs.read, jobs.gather) * 2:
            await defer(connection, "b_1")
        found = await rows(connection, "select task_name from procrastinate_jobs order by id")
    assert [each["task_name"] for each in found] == ["fetch", "collect", "read", "gather"]
