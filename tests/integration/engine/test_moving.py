"""Those who wait in an older version of a journey move into the newest one."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from caravan.engine import moving
from caravan.store import ledger
from tests.integration.conftest import System, check_ledger, working

FIRST = """
journey: 1
steps:
  - id: hold
    wait: 3 days
    next: answer
  - id: answer
    wait_for: {event: purchase, timeout: 4 days, then: thanks, else: out}
  - id: thanks
    email: {from: shop@example.com, to: "{{ id }}@example.com", subject: "First {{ n }}", text: Hello}
    next: out
  - id: out
    exit: {}
"""
SECOND = FIRST.replace("First", "Second").replace("3 days", "5 days")


def rows(count: int) -> bytes:
    return b"".join(b'{"id": "c%d", "properties": {"n": %d}}\n' % (each, each) for each in range(count))


def at(step: str, count: int) -> Callable[[dict[str, Any]], bool]:
    return lambda found: any(each["step"] == step and each["standing"] == count for each in found["ledger"]["steps"])


def outcomes(batch: dict[str, Any], step: str) -> dict[str, int]:
    return dict(next(each["outcomes"] for each in batch["ledger"]["steps"] if each["step"] == step))


async def looked(system: System, query: str = "") -> list[tuple[str, int, bool, str | None]]:
    answer = await system.get(f"journeys/1/waiting{query}")
    assert answer.status_code == 200, answer.text
    return [(each["step"], each["contacts"], each["changed"], each["why"]) for each in answer.json()["steps"]]


async def move(system: System, **options: object) -> dict[str, Any]:
    """Move, and wait until nobody who can move is left."""
    answer = await system.post("journeys/1/move-waiting", options)
    assert answer.status_code == 202, answer.text
    for _ in range(2_000):
        left = (await system.get("journeys/1/waiting?reschedule=true")).json()["steps"]
        if not any(each["moves"] for each in left):
            return dict(answer.json())
        await asyncio.sleep(0.02)
    raise AssertionError(left)


async def taken(system: System, batch: str) -> dict[str, Any]:
    """The batch that took those who moved out of another."""
    for each in (await system.get("batches")).json():
        check_ledger(each["ledger"])
    (found,) = [each for each in (await system.get("batches")).json() if each["movedFrom"] == batch]
    return dict(found)


async def test_those_who_wait_move_and_go_on_in_the_newest_version(system: System) -> None:
    await system.publish(FIRST)
    batch = await system.start(rows(250))
    await system.until(batch, at("hold", 250))
    await system.turn(days=1)
    await system.publish(SECOND)
    assert await looked(system) == [("hold", 250, True, None)]
    told = await move(system)
    assert (told["version"], told["steps"][0]["contacts"], told["steps"][0]["moves"]) == (2, 250, True)
    old = await system.ended(batch)
    assert (old["state"], outcomes(old, "hold")) == ("completed", {"moved": 250})
    new = await taken(system, batch)
    assert (new["version"], new["ledger"]["entered"], new["state"]) == (2, 250, "running")
    journal = await system.lines(f"batches/{batch}/journal?step=hold")
    assert len(journal) == 250
    assert {each["detail"] for each in journal} == {f"to version 2 by batch {new['id']}"}
    entries = (await system.get("contacts/c7")).json()["entries"]
    assert [(each["batch"], each["line"], each["properties"]) for each in entries] == [
        (batch, 8, {"n": 7}),
        (new["id"], 8, {"n": 7}),
    ]
    await system.turn(days=2, seconds=5)  # the wait of the first version is over: it was not rescheduled
    await system.until(new["id"], at("answer", 250))
    assert (await system.post("events", {"id": "c7", "event": "purchase"})).status_code == 200
    await system.until(new["id"], lambda found: outcomes(found, "answer") == {"passed": 1} and at("answer", 249)(found))
    await system.turn(days=5)
    await system.ended(new["id"])
    assert [mail.recipients[0] for mail in system.sandbox.mails] == ["c7@example.com"]
    assert b"Subject: Second 7" in system.sandbox.mails[0].content


async def test_a_wait_that_changed_is_rescheduled_if_so_chosen(system: System) -> None:
    await system.publish(FIRST)
    batch = await system.start(rows(3))
    await system.until(batch, at("hold", 3))
    await system.publish(SECOND.replace("5 days", "1 day"))
    await system.turn(hours=20)
    await move(system, reschedule=True)
    new = await taken(system, batch)
    await system.turn(hours=5)  # a day since they came
    await system.until(new["id"], at("answer", 3))


async def test_an_event_before_and_after_the_move_leads_on_once(system: System) -> None:
    await system.publish(FIRST.replace("wait: 3 days", "wait: 1 minute"))
    batch = await system.start(rows(40))
    await system.until(batch, at("hold", 40))
    await system.turn(minutes=2)
    await system.until(batch, at("answer", 40))
    assert (await system.post("events", {"id": "c1", "event": "purchase"})).status_code == 200
    await system.until(batch, at("answer", 39))
    await system.publish(FIRST.replace("First", "Second"))
    await move(system)
    new = await taken(system, batch)
    assert new["ledger"]["entered"] == 39
    journal = await system.lines(f"batches/{batch}/journal?step=answer")
    assert sorted((each["outcome"], each["contact"]) for each in journal if each["contact"] in ("c1", "c2")) == [
        ("moved", "c2"),
        ("passed", "c1"),
    ]
    assert len(journal) == 40, "each is told of once"
    for number in (1, 2):
        assert (await system.post("events", {"id": f"c{number}", "event": "purchase"})).status_code == 200
    await system.until(new["id"], at("answer", 38))
    await system.turn(days=5)
    await system.ended(new["id"])
    subjects = sorted(mail.content.partition(b"Subject: ")[2].partition(b"\r")[0] for mail in system.sandbox.mails)
    assert subjects == [b"First 1", b"Second 2"]


async def test_each_who_waits_until_a_moment_of_its_own_keeps_it(system: System) -> None:
    definition = """
journey: 1
steps:
  - id: hold
    wait: {{until: "{{{{ at }}}}", offset: {}}}
    next: out
  - id: out
    exit: {{}}
"""
    now = system.clock.now().astimezone(UTC)
    days = [now.replace(microsecond=0).timestamp() + 86_400 * (1 + each % 5) for each in range(60)]
    content = "\n".join(
        f'{{"id": "c{each}", "properties": {{"at": "{datetime.fromtimestamp(days[each], UTC).isoformat()}"}}}}'
        for each in range(60)
    )
    await system.publish(definition.format("0 days"))
    batch = await system.start(content.encode())
    await system.until(batch, lambda found: at("hold", 60)(found) and "the moment" in (found["waitingFor"] or ""))
    await system.publish(definition.format("1 hour"))
    await move(system)
    new = await taken(system, batch)
    assert "60 contacts at hold are standing until" in new["waitingFor"]
    await system.turn(days=3, minutes=1)
    await system.until(new["id"], at("hold", 24))
    await system.publish(definition.format("-20 hours"))
    await move(system, reschedule=True)
    newest = await taken(system, new["id"])
    # The clock may turn once their moments are known, and each has its job.
    await system.until(
        newest["id"], lambda found: at("hold", 24)(found) and "the moment" in (found["waitingFor"] or "")
    )
    await system.turn(hours=5)  # twenty hours before the moments of the fourth day
    await system.until(newest["id"], at("hold", 12))
    await system.turn(hours=24)
    found = await system.ended(newest["id"])
    assert outcomes(found, "hold") == {"passed": 24}


async def test_what_can_not_move_is_told_and_goes_on_as_it_was(system: System) -> None:
    await system.publish(FIRST)
    batch = await system.start(rows(5))
    await system.until(batch, at("hold", 5))
    await system.turn(days=3, minutes=1)
    await system.until(batch, at("answer", 5))
    await system.start(rows(7))
    second = (await system.get("batches")).json()[0]["id"]
    await system.until(second, at("hold", 7))
    await system.publish(
        "journey: 1\nsteps:\n  - {id: answer, wait: 9 days, next: other}\n  - {id: other, wait: 1 day}\n"
    )
    assert await looked(system) == [
        ("answer", 5, False, "in version 2 it is a wait"),
        ("hold", 7, False, "version 2 has no such step"),
    ]
    answer = await system.post("journeys/1/move-waiting", {})
    assert [each["moves"] for each in answer.json()["steps"]] == [False, False]
    await system.turn(days=9)
    await system.ended(batch)
    assert not [each for each in (await system.get("batches")).json() if each["movedFrom"]]


async def test_a_definition_that_is_not_published_yet_is_looked_at_and_changes_nothing(system: System) -> None:
    await system.publish(FIRST)
    batch = await system.start(rows(5))
    await system.until(batch, at("hold", 5))
    answer = await system.http.post(system.path("journeys/1/waiting"), content=SECOND)
    assert answer.json() == {
        "journey": 1,
        "version": 2,
        "steps": [{"version": 1, "step": "hold", "contacts": 5, "moves": True, "changed": True, "why": None}],
    }
    assert await looked(system) == []
    assert (await system.get("journeys/1/versions")).json()[0]["version"] == 1
    refused = await system.http.post(system.path("journeys/1/waiting"), content="journey: 1\nsteps: []\n")
    assert refused.status_code == 422
    slip = await system.post("journeys/1/move-waiting", {"reshedule": True})
    assert slip.status_code == 400 and "reschedule" in slip.json()["detail"]


async def test_a_move_that_is_killed_is_finished_by_the_next_and_moves_each_once(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures, real = 0, ledger.add_arrived

    async def add_arrived(connection: Any, batch: str, counts: Any) -> None:
        nonlocal failures
        failures += 1
        if failures in (1, 3):
            raise OSError(5, "an accident")
        await real(connection, batch, counts)

    await system.publish(FIRST)
    batch = await system.start(rows(450))
    await system.until(batch, at("hold", 450))
    await system.publish(SECOND)
    monkeypatch.setattr(ledger, "add_arrived", add_arrived)
    for _ in range(3):
        try:
            await moving.move_waiting(system.engine, system.customer, 1, 2, reschedule=False)
        except OSError:
            continue
    old = await system.ended(batch)
    assert outcomes(old, "hold") == {"moved": 450}
    assert (await taken(system, batch))["ledger"]["entered"] == 450


async def test_whom_an_event_overtakes_is_left_out_and_all_others_move(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.publish(FIRST.replace("wait: 3 days", "wait: 1 minute"))
    batch = await system.start(rows(90))  # one cohort
    await system.until(batch, at("hold", 90))
    await system.turn(minutes=2)
    await system.until(batch, at("answer", 90))
    await system.publish(FIRST.replace("First", "Second"))
    real, events, loop = moving._write, iter(("c1", "c2")), asyncio.get_running_loop()

    async def happen(contact: str) -> None:
        before = (await system.batch(batch))["ledger"]["steps"][1]["standing"]
        await system.post("events", {"id": contact, "event": "purchase"})
        await system.until(batch, at("answer", before - 1))

    def write(*arguments: Any, **named: Any) -> Any:
        if contact := next(events, None):
            asyncio.run_coroutine_threadsafe(happen(contact), loop).result()
        return real(*arguments, **named)

    monkeypatch.setattr(moving, "_write", write)
    await moving.move_waiting(system.engine, system.customer, 1, 2, reschedule=False)
    assert outcomes(await system.batch(batch), "answer") == {"passed": 2, "moved": 88}
    assert (await taken(system, batch))["ledger"]["entered"] == 88


async def test_moves_amid_events_and_times_that_end_lose_nobody(idle_system: System) -> None:
    system = idle_system
    await system.publish(FIRST.replace("wait: 3 days", "wait: 0 seconds").replace("4 days", "1 hour"))
    async with working(system):
        batch = await system.start(rows(600))
        await system.until(batch, at("answer", 600))
        await system.turn(minutes=59, seconds=58)

        async def events() -> None:
            for number in range(0, 600, 5):
                await system.post("events", {"id": f"c{number}", "event": "purchase"})

        async def versions() -> None:
            for number in range(3):
                await system.publish(FIRST.replace("First", f"V{number}"))
                await moving.move_waiting(system.engine, system.customer, 1, number + 2, reschedule=False)
                await asyncio.sleep(0.5)

        await asyncio.gather(events(), versions(), asyncio.create_task(_end(system)))
        for each in (await system.get("batches")).json():
            await system.turn(days=9)
            await system.ended(each["id"])
    found = (await system.get("batches")).json()
    at_answer = [outcomes(each, "answer") for each in found]
    assert sum(each.get("passed", 0) for each in at_answer) == 600
    recipients = [mail.recipients[0] for mail in system.sandbox.mails]
    assert len(recipients) == len(set(recipients)) <= 120


async def _end(system: System) -> None:
    """The time ends while all that goes on."""
    for _ in range(4):
        await system.turn(seconds=1)
        await asyncio.sleep(0.4)


async def test_who_moved_is_still_inside_a_journey_that_lets_nobody_in_twice(system: System) -> None:
    await system.publish(FIRST.replace("journey: 1\n", "journey: 1\nreentry: not_while_inside\n"))
    batch = await system.start(rows(4))
    await system.until(batch, at("hold", 4))
    await system.publish(SECOND.replace("journey: 1\n", "journey: 1\nreentry: not_while_inside\n"))
    await move(system)
    await system.ended(batch)
    again = await system.start(rows(5))
    found = await system.until(again, lambda found: found["state"] in ("running", "completed"))
    assert (found["ledger"]["entered"], found["ledger"]["rejected"]) == (1, {"reentry_refused": 4})
