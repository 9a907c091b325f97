"""The API's acts in the audit log: which token did what to what, from where."""

from datetime import datetime, timedelta

import pytest

from caravan.access.audit import Actor, ActorKind, Entry, entries
from caravan.store.database import row
from tests.integration.conftest import NDJSON, System
from tests.integration.journeys_for_tests import EXIT, WAIT, contacts


async def _log(system: System) -> list[Entry]:
    async with system.engine.pool.connection() as connection:
        return (await entries(connection, system.customer))[::-1]


def _token(system: System) -> Actor:
    return Actor(ActorKind.TOKEN, system.token.split("_")[1], system.customer, "127.0.0.1", "test")


async def test_every_call_that_changes_something_is_in_the_log_with_its_token_and_address(system: System) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(3))
    await system.until(batch, lambda found: found["ledger"]["entered"] == 3)
    for act in ("pause", "resume", "retry", "give-up", "cancel"):
        assert (await system.post(f"batches/{batch}/{act}", {})).status_code == 200
    for act in ("pause", "resume", "cancel"):
        assert (await system.post(f"journeys/1/{act}", {})).status_code == 200
    assert (await system.post(f"batches/{batch}/forget", {})).status_code == 200
    found = await _log(system)
    of_batch = ["open", "upload", "pause", "resume", "retry", "give_up", "recall"]
    assert [(each.act, each.subject) for each in found] == [
        ("publish", "journey 1"),
        *((act, f"batch {batch}") for act in of_batch),
        *((act, "journey 1") for act in ("pause", "resume", "recall")),
        ("forget", f"batch {batch}"),
    ]
    assert {each.actor for each in found} == {_token(system)}
    assert found[0].detail == {"version": 1, "name": "Wait"}
    assert found[1].detail == {"journey": 1, "hold": False}
    assert found[2].detail is not None and found[2].detail["bytes"] == len(contacts(3))


async def test_a_call_that_is_refused_repeated_or_only_reads_is_not_in_the_log(idle_system: System) -> None:
    system = idle_system
    await system.publish(EXIT)
    before = len(await _log(system))
    assert (await system.post("batchtrigger/v2", {"entityId": 2})).status_code == 404
    assert (await system.post("batchtrigger/v2", {"entityId": "x"})).status_code == 400
    assert (await system.http.put(system.path("journeys/1"), content="steps: []")).status_code == 422
    assert (await system.get("batches")).status_code == 200
    for _ in range(2):
        answer = await system.post("batchtrigger/v2", {"entityId": 1}, **{"Idempotency-Key": "k"})
        assert answer.status_code == 200
    found = await _log(system)
    assert [each.act for each in found[before:]] == ["open"]
    put = answer.json()["uploadUrl"]
    for status in (200, 200):
        assert (await system.http.put(put, content=contacts(1), headers=NDJSON)).status_code == status
    assert (await system.http.put(put, content=contacts(2), headers=NDJSON)).status_code == 409
    assert [each.act for each in (await _log(system))[before:]] == ["open", "upload"]


async def test_the_single_starter_is_not_in_the_log(idle_system: System) -> None:
    await idle_system.publish(EXIT)
    before = len(await _log(idle_system))
    assert (await idle_system.post("journeys/1/commence", {"id": "1"})).status_code == 202
    assert len(await _log(idle_system)) == before


async def test_an_act_that_can_not_be_entered_is_not_done(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(1))
    await system.until(batch, lambda found: found["ledger"]["entered"] == 1)

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the log is full")

    with monkeypatch.context() as patched:
        patched.setattr("caravan.store.audit.add_entry", broken)
        assert (await system.post(f"batches/{batch}/pause", {})).status_code == 500
        assert (await system.http.put(system.path("journeys/1"), content=EXIT)).status_code == 500
    assert (await system.batch(batch))["state"] == "running"
    assert [each["version"] for each in (await system.get("journeys")).json()] == [1]


async def test_when_a_token_was_used_is_known_to_the_minute_and_written_no_oftener(idle_system: System) -> None:
    system = idle_system
    query = "select used_at, xmin::text from tokens where customer_id = %(customer)s"

    async def used() -> tuple[datetime | None, object]:
        async with system.engine.pool.connection() as connection:
            found = await row(connection, query, customer=system.customer)
        assert found is not None
        return found["used_at"], found["xmin"]

    assert (await used())[0] is None
    await system.get("batches")
    first = await used()
    assert first[0] is not None and abs(first[0] - system.clock.now()) < timedelta(seconds=5)
    for _ in range(9):
        system.clock.turn(timedelta(seconds=6))
        await system.get("batches")
    assert await used() == first
    system.clock.turn(timedelta(seconds=6))
    await system.get("batches")
    later = (await used())[0]
    assert later is not None and later - first[0] >= timedelta(minutes=1)
