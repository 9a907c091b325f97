"""Single starts that share a transaction: each gets its own answer, and keys mean what they mean alone."""

import asyncio

import pytest

from caravan.engine.groups import Groups
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import EXIT, WAIT


async def _groups(system: System, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the groups from now on."""
    sizes, do = list[int](), Groups._do

    async def noted(self, calls):  # type: ignore[no-untyped-def]
        sizes.append(len(calls))
        return await do(self, calls)

    monkeypatch.setattr(Groups, "_do", noted)
    return sizes


async def _keys(system: System) -> int:
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute("select count(*) as keys from idempotency")).fetchone()
    assert found is not None
    return int(found["keys"])


async def test_calls_of_one_group_have_each_their_own_answer(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = idle_system
    await system.publish(WAIT)
    sizes = await _groups(system, monkeypatch)
    bodies: list[tuple[int, dict[str, object], dict[str, str], int]] = [
        (1, {"id": "1"}, {}, 202),
        (9, {"id": "2"}, {"Idempotency-Key": "unknown journey"}, 404),
        (1, {"id": ""}, {"Idempotency-Key": "bad contact"}, 400),
        (1, {"id": "3"}, {"Idempotency-Key": "good"}, 202),
        (1, {"id": "3"}, {"Idempotency-Key": "good"}, 202),
        (1, {"id": "4"}, {"Idempotency-Key": "good"}, 409),
        (1, {"id": "5"}, {"Idempotency-Key": "x" * 256}, 400),
        (1, {"id": "1"}, {}, 202),
    ]
    answers = await asyncio.gather(
        *(system.post(f"journeys/{journey}/commence", body, **headers) for journey, body, headers, _ in bodies)
    )
    assert [answer.status_code for answer in answers] == [status for *_, status in bodies]
    assert answers[3].text == answers[4].text
    assert sizes[0] > 1
    assert await _keys(system) == 1
    again = await system.post("journeys/1/commence", {"id": "3"}, **{"Idempotency-Key": "good"})
    assert again.text == answers[3].text
    async with working(system):
        found = await system.until(answers[0].json()["batchId"], lambda b: b["ledger"]["entered"] >= 3)
    assert found["ledger"]["entered"] == 3


async def test_a_key_of_a_call_that_failed_may_come_again(idle_system: System) -> None:
    system, key = idle_system, {"Idempotency-Key": "again"}
    assert (await system.post("journeys/1/commence", {"id": "1"}, **key)).status_code == 404
    await system.publish(EXIT)
    assert (await system.post("journeys/1/commence", {"id": "1"}, **key)).status_code == 202


async def test_groups_of_two_processes_with_the_same_keys_enter_each_contact_once(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    from caravan.api.app import create_app

    system = idle_system
    await system.publish(WAIT)
    headers = {"Authorization": f"Bearer {system.token}"}
    transport = httpx.ASGITransport(app=create_app(system.engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://other.test", headers=headers) as other:
        calls = [
            http.post(
                system.path("journeys/1/commence"), json={"id": str(n)}, headers={"Idempotency-Key": f"k{n * 7 % 40}"}
            )
            for n in range(40)
            for http in (system.http, other)
        ]
        answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {202}
    async with working(system):
        found = await system.until(answers[0].json()["batchId"], lambda b: b["ledger"]["entered"] >= 40)
    assert found["ledger"]["entered"] == 40


async def test_journeys_of_several_customers_share_a_group(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = idle_system
    for journey in (1, 2, 3):
        await system.publish(WAIT.replace("journey: 1", f"journey: {journey}"), journey)
    sizes = await _groups(system, monkeypatch)
    answers = await asyncio.gather(*(system.post(f"journeys/{1 + n % 3}/commence", {"id": str(n)}) for n in range(30)))
    batches = [answer.json()["batchId"] for answer in answers]
    assert len(set(batches)) == 3
    assert all(batches[n] == batches[n % 3] for n in range(30))
    assert max(sizes) > 1
    async with working(system):
        for batch in set(batches):
            await system.until(batch, lambda b: b["ledger"]["entered"] == 10)


async def test_another_version_has_another_batch(idle_system: System) -> None:
    system = idle_system
    await system.publish(WAIT)
    first = (await system.post("journeys/1/commence", {"id": "1"})).json()["batchId"]
    await system.publish(WAIT.replace("3 days", "4 days"))
    assert (await system.post("journeys/1/commence", {"id": "2"})).json()["batchId"] != first
