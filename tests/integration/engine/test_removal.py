"""A removed customer leaves nothing behind."""

import asyncio

import httpx
import pytest

from caravan.access.users import Role, add_user
from caravan.channels.sandbox import Sandbox
from caravan.engine.removal import remove_customer
from caravan.errors import NotFound
from caravan.settings import Settings, Uploads
from caravan.store import customers
from caravan.store.database import rows
from tests.integration.conftest import System, open_house
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts
from tests.s3 import S3


async def _objects(system: System) -> dict[str, int]:
    """How many rows each table has that can belong to a customer, and how many files there are."""
    async with system.engine.pool.connection() as connection:
        tables = await rows(connection, "select tablename as name from pg_tables where schemaname = 'public'")
        counts = {}
        for each in tables:
            if each["name"] in (
                "migrations",
                "queue_migrations",
                "queue_turns",
                "secrets",
                "metrics",
                "metric_changes",
                "audit",  # outlives what it tells of
            ) or each["name"].startswith("procrastinate_"):
                continue
            found = await rows(connection, f'select count(*) as rows from "{each["name"]}"')  # type: ignore[arg-type]
            counts[each["name"]] = found[0]["rows"]
        jobs = await rows(connection, "select count(*) as rows from procrastinate_jobs where task_name <> 'tidy'")
    return {**counts, "jobs": jobs[0]["rows"], "files": len(system.engine.files.names(""))}


async def test_nothing_is_left_of_a_customer_whatever_its_batches_were_doing(system: System) -> None:
    before = await _objects(system)
    await system.publish(EXIT, 1)
    await system.publish(WAIT.replace("journey: 1", "journey: 2"), 2)
    await system.publish(MAIL.replace("journey: 1", "journey: 3"), 3)
    await system.ended(await system.start(contacts(250) + b"nonsense\n", 1))
    waiting = await system.start(contacts(250), 2)
    await system.until(waiting, lambda found: found["state"] == "running")
    await system.post("batchtrigger/v2", {"entityId": 1}, **{"Idempotency-Key": "k"})
    await system.post("journeys/2/commence", {"id": "1", "properties": {}})
    await system.start(contacts(500), 3)
    async with system.engine.pool.connection() as connection:
        await add_user(connection, "anna@example.com", system.customer, Role.OWNER)
        other = await customers.add_customer(connection, "other", system.clock.now())
    assert await remove_customer(system.engine, system.customer) == 5
    await asyncio.sleep(0.5)  # a worker may be in the middle of something
    after = await _objects(system)
    assert {name: count for name, count in after.items() if count} == {"customers": 1}
    assert before["customers"] == 1
    async with system.engine.pool.connection() as connection:
        assert await customers.has_customer(connection, other)
    with pytest.raises(NotFound):
        await remove_customer(system.engine, system.customer)


async def test_what_a_client_put_into_the_store_itself_goes_too(settings: Settings, sandbox: Sandbox, s3: S3) -> None:
    place = {"files_url": f"s3://{s3.bucket()}/here", "files_endpoint_url": s3.endpoint, "uploads": Uploads.DIRECT}
    async with open_house(settings.model_copy(update=place), sandbox) as system:
        await system.publish(EXIT)
        opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
        async with httpx.AsyncClient() as client:
            put = await client.put(opened["uploadUrl"], content=contacts(3), headers={"Content-Type": "text/plain"})
        assert put.status_code == 200
        inbox = system.engine.files.inbox
        assert inbox is not None
        assert [each.batch for each in await asyncio.to_thread(inbox.arrivals)] == [opened["batchId"]]
        await remove_customer(system.engine, system.customer)
        assert await asyncio.to_thread(inbox.arrivals) == []
