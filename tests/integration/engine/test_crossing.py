"""Contacts enter another journey by a step of theirs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from caravan.engine import control, crossing, upkeep
from caravan.store import ledger
from tests.integration.conftest import System, check_ledger, working

CROSSING = """
journey: 1
steps:
  - id: tier
    set: {tier: gold}
    next: other
  - id: other
    journey: 2
    next: hold
  - id: hold
    wait: 2 days
"""
GREETING = """
journey: 2
reentry: RULE
steps:
  - id: mail
    email: {from: shop@example.com, to: "{{ id }}@example.com", subject: "{{ tier }} {{ n }}", text: Hello}
"""


def rows(count: int, first: int = 0) -> bytes:
    return b"".join(b'{"id": "c%d", "properties": {"n": %d}}\n' % (each, each) for each in range(first, first + count))


async def publish_both(system: System, rule: str = "always") -> None:
    await system.publish(GREETING.replace("RULE", rule), 2)
    await system.publish(CROSSING)


async def others(system: System, journey: int = 2) -> list[dict[str, Any]]:
    """The batches of another journey, each with a ledger that balances."""
    found = (await system.get(f"batches?journey={journey}")).json()
    for each in found:
        check_ledger(each["ledger"])
    return list(found)


async def settled(system: System, journey: int = 2) -> list[dict[str, Any]]:
    """The same, once all of them have ended."""
    for _ in range(3_000):
        found = await others(system, journey)
        if found and all(each["finishedAt"] for each in found):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


def outcomes(batch: dict[str, Any], step: str) -> dict[str, int]:
    (found,) = [each["outcomes"] for each in batch["ledger"]["steps"] if each["step"] == step]
    return dict(found)


def at(step: str, count: int) -> Callable[[dict[str, Any]], bool]:
    """Whether so many stand at a step."""
    return lambda found: any(each["step"] == step and each["standing"] == count for each in found["ledger"]["steps"])


async def test_contacts_are_in_both_journeys_with_the_properties_that_they_have_by_then(system: System) -> None:
    await publish_both(system)
    batch = await system.start(rows(250))
    found = await system.until(batch, at("hold", 250))
    assert outcomes(found, "other") == {"passed": 250}
    (other,) = await settled(system)
    assert (other["starter"], other["ledger"]["entered"]) == ("single", 250)
    assert outcomes(other, "mail") == {"sent": 250}
    mails = {mail.recipients[0]: mail.content for mail in system.sandbox.mails}
    assert len(system.sandbox.mails) == 250 == len(mails)
    assert b"Subject: gold 17\r\n" in mails["c17@example.com"]
    entries = (await system.get("contacts/c17")).json()["entries"]
    assert {(each["batch"], each["journey"]) for each in entries} == {(batch, 1), (other["id"], 2)}
    assert {each["batch"]: each["properties"] for each in entries}[other["id"]] == {"n": 17, "tier": "gold"}


async def test_a_step_that_leads_nowhere_ends_the_first_journey_only(system: System) -> None:
    await system.publish(GREETING.replace("RULE", "always"), 2)
    await system.publish("journey: 1\nsteps:\n  - id: other\n    journey: 2\n")
    found = await system.ended(await system.start(rows(3)))
    assert (found["state"], outcomes(found, "other")) == ("completed", {"passed": 3})
    (other,) = await settled(system)
    assert outcomes(other, "mail") == {"sent": 3}


@pytest.mark.parametrize("rule", ["once", "not_while_inside", "after 30 days"])
async def test_who_may_not_enter_again_is_refused_with_the_reason_and_goes_on(system: System, rule: str) -> None:
    written = f"reentry: {{{rule.replace(' ', ': ', 1)}}}" if " " in rule else f"reentry: {rule}"
    await system.publish(f"journey: 2\n{written}\nsteps:\n  - id: inside\n    wait: 1 day\n", 2)
    await system.publish(CROSSING)
    for number in range(5):
        answer = await system.post("journeys/2/commence", {"id": f"c{number}"})
        assert answer.status_code == 202, answer.text
    batch = await system.start(rows(30))
    found = await system.until(batch, at("hold", 30))
    assert outcomes(found, "other") == {"passed": 25, "refused": 5}
    journal = await system.lines(f"batches/{batch}/journal?step=other&outcome=refused")
    assert sorted(each["contact"] for each in journal) == [f"c{number}" for number in range(5)]
    assert all(each["detail"].startswith("reentry_refused: The contact 'c") for each in journal)
    inside = [step for each in await others(system) for step in each["ledger"]["steps"]]
    assert [(each["step"], each["standing"]) for each in inside] == [("inside", 25), ("inside", 5)]
    stays = (await system.get("contacts/c3")).json()["entries"]
    told = [stay for entry in stays for stay in entry["stays"] if stay["step"] == "other"]
    assert told[0]["outcome"] == "refused" and "entered this journey at" in told[0]["detail"]


async def test_a_move_that_fails_lets_nobody_enter_and_the_next_one_each_once(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 0
    real = ledger.add_left

    async def add_left(connection: Any, batch: str, step: str, counts: Any) -> None:
        nonlocal failures
        if step == "other" and failures < 3:
            failures += 1
            raise OSError(5, "an accident")
        await real(connection, batch, step, counts)

    monkeypatch.setattr(ledger, "add_left", add_left)
    await publish_both(system, "once")
    found = await system.until(await system.start(rows(40)), at("hold", 40), 300)
    assert failures == 3
    assert outcomes(found, "other") == {"passed": 40}
    (other,) = await settled(system)
    assert outcomes(other, "mail") == {"sent": 40}


async def test_another_way_in_that_is_quicker_is_not_overlooked(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, real = 0, crossing.prepared

    async def prepared(*arguments: Any) -> Any:
        nonlocal looks
        move = await real(*arguments)
        looks += 1
        if looks == 1:
            assert (await system.post("journeys/2/commence", {"id": "c4"})).status_code == 202
        return move

    monkeypatch.setattr(crossing, "prepared", prepared)
    await publish_both(system, "once")
    found = await system.until(await system.start(rows(20)), at("hold", 20))
    assert looks == 2
    assert outcomes(found, "other") == {"passed": 19, "refused": 1}
    assert sum(each["ledger"]["entered"] for each in await settled(system)) == 20


async def test_whoever_is_recalled_in_this_moment_does_not_enter(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, real = asyncio.Future[str](), crossing.prepared

    async def prepared(*arguments: Any) -> Any:
        move = await real(*arguments)
        async with system.engine.pool.connection() as connection:
            await control.cancel(system.engine, connection, system.customer, await started)
        return move

    monkeypatch.setattr(crossing, "prepared", prepared)
    await publish_both(system)
    batch = await system.start(rows(20))
    started.set_result(batch)
    found = await system.until(batch, lambda found: found["state"] == "cancelled" and at("other", 0)(found))
    assert outcomes(found, "other") == {"cancelled": 20}
    assert [(each["ledger"]["entered"], each["state"]) for each in await others(system)] == [(0, "running")]
    await system.turn(hours=2)
    await upkeep.tidy(system.engine)
    assert [each["state"] for each in await others(system)] == ["completed"]
    assert not system.sandbox.mails


async def test_two_journeys_that_enter_each_other_at_once_lose_nobody(idle_system: System) -> None:
    system = idle_system
    there = "journey: {}\nsteps:\n  - id: day\n    wait: 1 day\n    next: over\n  - id: over\n    journey: {}\n"
    await system.publish("journey: 1\nsteps:\n  - id: day\n    wait: 1 day\n")
    await system.publish(there.format(2, 1), 2)
    await system.publish(there.format(1, 2))
    async with working(system):
        for journey, number in ((journey, number) for journey in (1, 2) for number in range(60)):
            await system.post(f"journeys/{journey}/commence", {"id": f"c{journey}-{number}"})
        await system.start(rows(200))
        for round in range(1, 5):
            assert await _stand(system, 320, 320 * round)
            await system.turn(hours=25)


async def _stand(system: System, count: int, entered: int) -> bool:
    """Whether so many come to stand in both journeys together, after so many entries."""
    for _ in range(2_000):
        found = await others(system, 1) + await others(system, 2)
        steps = [step for each in found for step in each["ledger"]["steps"] if step["step"] == "day"]
        if sum(each["ledger"]["entered"] for each in found) == entered:
            return sum(each["standing"] for each in steps) == count
        await asyncio.sleep(0.05)
    return False


async def test_a_contact_that_is_forgotten_on_the_way_does_not_enter(system: System) -> None:
    await system.publish(GREETING.replace("RULE", "always"), 2)
    await system.publish(CROSSING.replace("set: {tier: gold}", "wait: 1 day"))
    batch = await system.start(rows(12))
    await system.until(batch, at("tier", 12))
    answer = await system.http.delete(system.path("contacts/c7"))
    assert answer.status_code == 202
    async with asyncio.timeout(60):
        while not (await system.get(f"erasures/{answer.json()['id']}")).json()["finishedAt"]:
            await system.turn(seconds=6)
            await asyncio.sleep(0.1)
    await system.turn(hours=25)
    found = await system.until(batch, at("hold", 12))
    assert outcomes(found, "other") == {"passed": 11, "forgotten": 1}
    (other,) = await settled(system)
    assert other["ledger"]["entered"] == 11 == len(system.sandbox.mails)


Publish = Callable[[System], Awaitable[object]]


@pytest.mark.parametrize(
    ("before", "definition", "line", "message"),
    [
        ([], "steps:\n  - id: a\n    journey: 2\n", 4, "there is no journey 2; publish that one first"),
        (
            [],
            "steps:\n  - id: a\n    journey: 1\n",
            4,
            "this closes a circle of journeys that has no wait in it: 1 → 1",
        ),
        (
            [(2, "- {id: x, set: {a: 1}, next: y}\n  - {id: y, journey: 3}"), (3, "- {id: z, journey: 1}")],
            "steps:\n  - id: a\n    set: {a: 1}\n    next: b\n  - id: b\n    journey: 2\n",
            7,
            "this closes a circle of journeys that has no wait in it: 1 → 2 → 3 → 1",
        ),
        ([], "steps:\n  - id: a\n    journey: two\n", 4, "below journey stands the number of the journey"),
        ([], "steps:\n  - id: a\n    journey: 0\n", 4, "below journey stands the number of the journey"),
    ],
)
async def test_a_journey_that_is_not_there_or_leads_back_at_once_is_refused_with_its_line(
    idle_system: System, before: list[tuple[int, str]], definition: str, line: int, message: str
) -> None:
    await idle_system.publish("journey: 1\nsteps: [{id: out, exit: {}}]\n")
    for number, steps in before[::-1]:
        await idle_system.publish(f"journey: {number}\nsteps:\n  {steps}\n", number)
    answer = await idle_system.http.put(idle_system.path("journeys/1"), content=f"journey: 1\n{definition}")
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["problems"]
    assert problem["line"] == line
    assert message in problem["message"]


async def test_a_circle_with_a_wait_in_it_is_none_to_refuse(idle_system: System) -> None:
    await idle_system.publish("journey: 1\nsteps: [{id: out, exit: {}}]\n")
    await idle_system.publish("journey: 2\nsteps:\n  - {id: w, wait: 1 day, next: x}\n  - {id: x, journey: 1}\n", 2)
    await idle_system.publish("journey: 1\nsteps:\n  - {id: x, journey: 2}\n")
    await idle_system.publish("journey: 1\nsteps:\n  - {id: w, wait: 1 day, next: x}\n  - {id: x, journey: 1}\n")
