"""A batch that is held for review: read whole, and no contact moves until it is resumed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.integration.conftest import NDJSON, System, working
from tests.integration.journeys_for_tests import EXIT, SPRING, WAIT, contacts


async def hold(system: System, content: bytes, **body: object) -> str:
    """Start a batch of journey 1 by upload, held for review; its id once it is read."""
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}, **body})).json()
    answer = await system.http.put(opened["uploadUrl"], content=content, headers=NDJSON)
    assert answer.status_code == 200, answer.text
    await system.until(opened["batchId"], lambda b: b["state"] == "paused")
    return str(opened["batchId"])


@asynccontextmanager
async def served(content: bytes) -> AsyncIterator[str]:
    """The URL of a file."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(content) + content)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/contacts.ndjson"


async def test_no_contact_moves_until_the_resume_whatever_workers_do(idle_system: System) -> None:
    await idle_system.publish(SPRING)
    async with working(idle_system):
        batch = await hold(idle_system, contacts(250) + b"nonsense\n")
        found = await idle_system.batch(batch)
        assert found["ledger"]["entered"] == 250
        assert found["ledger"]["rejected"] == {"not_json": 1}
        assert found["waiting"]["kind"] == "held"
        assert found["waiting"]["remedy"] == "resume"
        assert "held for review since" in found["waitingFor"]
        assert "resumed or cancelled" in found["waitingFor"]
    await idle_system.turn(days=30)
    async with working(idle_system):  # other workers, that look for cohorts without a job
        await asyncio.sleep(0.7)
        assert (await idle_system.batch(batch))["ledger"] == found["ledger"]
        assert not idle_system.sandbox.mails
        assert (await idle_system.post(f"batches/{batch}/resume", {})).json()["state"] == "running"
        done = await idle_system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 250)
        assert [step["outcomes"] for step in done["ledger"]["steps"][:3]] == [
            {"passed": 250},
            {"sent": 125},
            {"sent": 125},
        ]


async def test_a_file_that_is_fetched_is_held_too(system: System) -> None:
    await system.publish(EXIT)
    async with served(contacts(3)) as url:
        body = {"entityId": 1, "downloadUrl": url, "options": {"hold": True}}
        batch = (await system.post("batchtrigger/v2", body)).json()["batchId"]
        await system.until(batch, lambda b: b["state"] == "paused")
    assert (await system.batch(batch))["waiting"]["kind"] == "held"
    await system.post(f"batches/{batch}/resume", {})
    assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"passed": 3}


async def test_a_wait_at_the_entry_begins_with_the_resume(system: System) -> None:
    await system.publish(WAIT)
    batch = await hold(system, contacts(3))
    await system.turn(days=30)
    await system.post(f"batches/{batch}/resume", {})
    await asyncio.sleep(0.5)
    assert (await system.batch(batch))["ledger"]["steps"][0]["standing"] == 3
    await system.turn(days=3, seconds=5)
    assert (await system.ended(batch))["state"] == "completed"


async def test_a_held_batch_can_be_discarded(system: System) -> None:
    await system.publish(EXIT)
    batch = await hold(system, contacts(3))
    found = (await system.post(f"batches/{batch}/cancel", {})).json()
    assert found["state"] == "cancelled"
    assert found["ledger"]["steps"][0]["outcomes"] == {"cancelled": 3}


async def test_a_resume_before_the_file_is_read_releases_nothing(idle_system: System) -> None:
    await idle_system.publish(EXIT)
    opened = (await idle_system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}})).json()
    batch = opened["batchId"]
    answer = await idle_system.post(f"batches/{batch}/resume", {})
    assert answer.status_code == 409
    assert "once it is read whole" in answer.json()["detail"]
    await idle_system.http.put(opened["uploadUrl"], content=contacts(3), headers=NDJSON)
    assert (await idle_system.post(f"batches/{batch}/pause", {})).json()["state"] == "paused"
    assert (await idle_system.post(f"batches/{batch}/resume", {})).json()["state"] == "reading"
    async with working(idle_system):
        await idle_system.until(batch, lambda b: b["waiting"] is not None and b["waiting"]["kind"] == "held")


@pytest.mark.parametrize("paused_first", [True, False])
async def test_resuming_the_journey_leaves_it_held(system: System, paused_first: bool) -> None:
    await system.publish(EXIT)
    if paused_first:
        await system.post("journeys/1/pause", {})
    batch = await hold(system, contacts(3))
    if not paused_first:
        await system.post("journeys/1/pause", {})
    await system.until(batch, lambda b: b["waiting"]["kind"] == "held")
    assert (await system.post("journeys/1/resume", {})).json()["batches"] == []
    assert (await system.batch(batch))["waiting"]["kind"] == "held"
    await system.post(f"batches/{batch}/resume", {})
    assert (await system.ended(batch))["state"] == "completed"
