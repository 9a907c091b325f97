"""Jobs whose end a worker could not note, because the database was away in that moment."""

import asyncio

import psycopg
import pytest
from procrastinate.exceptions import ConnectorException

from caravan.engine import worker as workers
from caravan.errors import Unavailable
from caravan.queue.job_manager import ResilientJobManager
from caravan.steps.split import Split
from tests.integration.conftest import NDJSON, System, working
from tests.integration.journeys_for_tests import EXIT, SPRING, contacts


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LOOK_EVERY", 0.2)


async def test_a_retry_that_could_not_be_noted_is_made_all_the_same(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, failing, lost = idle_system, [1], [1]
    take, retry = Split.take, ResilientJobManager.retry_job

    async def taken(self: Split, cohort, tools):  # type: ignore[no-untyped-def]
        if failing:
            failing.pop()
            raise Unavailable
        return await take(self, cohort, tools)

    async def noted(self: ResilientJobManager, job, *arguments, **more):  # type: ignore[no-untyped-def]
        if lost and job.task_name == "advance":
            lost.pop()
            raise ConnectorException from psycopg.OperationalError("the connection is lost")
        await retry(self, job, *arguments, **more)

    monkeypatch.setattr(Split, "take", taken)
    monkeypatch.setattr(ResilientJobManager, "retry_job", noted)
    await system.publish(SPRING)
    batch = await system.start(contacts(10))
    async with working(system):
        await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 10)
    assert (failing, lost) == ([], [])


async def test_a_job_that_runs_for_long_is_not_put_back(idle_system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    system, tries = idle_system, 0
    take = Split.take

    async def slow(self: Split, cohort, tools):  # type: ignore[no-untyped-def]
        nonlocal tries
        tries += 1
        await asyncio.sleep(0.9)
        return await take(self, cohort, tools)

    monkeypatch.setattr(Split, "take", slow)
    await system.publish(SPRING)
    batch = await system.start(contacts(10))
    async with working(system):
        await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 10)
    assert tries == 1


async def test_while_postgres_is_away_calls_are_told_to_come_back(
    system: System, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await system.publish(EXIT)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()

    def away(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("the server closed the connection unexpectedly")

    with monkeypatch.context() as broken:
        broken.setattr(system.engine.pool, "connection", away)
        answers = [await system.get("batches"), await system.post("batchtrigger/v2", {"entityId": 1})]
        answers.append(await system.http.get("/readyz"))
        answers.append(await system.http.put(opened["uploadUrl"], content=contacts(1), headers=NDJSON))
    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert "PostgreSQL does not answer" in answer.json()["error"]
    assert (await system.get("batches")).status_code == 200
    assert "PUT /uploads/…: the server closed" in caplog.text
    assert opened["uploadUrl"].rpartition("/")[2] not in caplog.text
