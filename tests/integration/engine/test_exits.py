"""Goal and exits: wherever contacts stand and before each message, whoever meets a rule leaves the journey, once."""

import asyncio
import json
from typing import Any

import pytest

from caravan.engine import reading
from caravan.store import listening
from tests.integration.conftest import System, working
from tests.integration.engine.test_wait_for import contacts, happen, settled, standing, start


@pytest.fixture
def system(idle_system: System) -> System:
    """A system whose tests say when it works."""
    return idle_system


WAITING = """
name: Waiting
goal: {event: purchase, if: total - contact.least > 0}
exit_when:
  - {event: unsubscribed}
  - {if: country = 'SE'}
steps:
  - {id: first, wait: 2 days, next: second}
  - {id: second, wait: 30 days}
"""
MAILS = """
name: Mails
goal: {event: purchase, match: order}
exit_when: [{if: stage = 'won'}, {event: unsubscribed}]
steps:
  - id: mail
    email: {from: shop@example.com, to: "{{ contact.id }}@example.com", subject: Hello, text: Hello}
    next: later
  - {id: later, wait: 30 days}
"""


def outcomes(found: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {each["step"]: each["outcomes"] for each in found["ledger"]["steps"] if each["outcomes"]}


async def test_an_event_ends_the_journey_wherever_its_contact_stands(system: System) -> None:
    async with working(system):
        batch = await start(system, WAITING, contacts("a", "b", "c", "d", least=100))
        await settled(system, batch, first=4)
        await happen(system, "a", "purchase", properties={"total": 150})
        await happen(system, "b", "purchase", properties={"total": 50})
        await happen(system, "c", "unsubscribed")
        found = await settled(system, batch, first=2)
        assert outcomes(found) == {"first": {"goal": 1, "exited": 1}}
        await system.turn(days=2, seconds=1)
        await settled(system, batch, second=2)
        await happen(system, "b", "purchase", properties={"total": 101})
        await happen(system, "d", "unsubscribed")
        found = await system.ended(batch)
        assert found["state"] == "completed"
        assert outcomes(found) == {
            "first": {"goal": 1, "exited": 1, "passed": 2},
            "second": {"goal": 1, "exited": 1},
        }
        lines = await system.lines(f"batches/{batch}/journal?step=first")
        assert {each["contact"]: (each["outcome"], each["detail"]) for each in lines} == {
            "a": ("goal", "with the event purchase, if total - contact.least > 0"),
            "b": ("passed", None),
            "c": ("exited", "with the event unsubscribed"),
            "d": ("passed", None),
        }
        stays = (await system.get("contacts/a")).json()["entries"][0]["stays"]
        assert [(each["step"], each["outcome"]) for each in stays] == [("first", "goal")]


async def test_a_condition_ends_the_journey_as_soon_as_its_contact_comes_to_stand(system: System) -> None:
    async with working(system):
        content = contacts("a", "b", country="SE") + contacts("c", country="NO")
        batch = await start(system, WAITING, content)
        found = await settled(system, batch, first=1)
        assert outcomes(found) == {"first": {"exited": 2}}
        lines = await system.lines(f"batches/{batch}/journal?step=first&outcome=exited")
        assert [each["detail"] for each in lines] == ["once this is true of them: country = 'SE'"] * 2
        due = system.clock.now().timestamp() + 2 * 86_400
        (cohort,) = await _listeners(system)
        assert due - 20 < cohort.due_at.timestamp() <= due
        await system.turn(days=2, seconds=1)
        await settled(system, batch, second=1)


async def test_all_may_leave_by_a_condition_as_they_enter(system: System) -> None:
    async with working(system):
        batch = await start(system, WAITING, contacts("a", "b", country="SE"))
        assert outcomes(await system.ended(batch)) == {"first": {"exited": 2}}


@pytest.mark.parametrize("paused", [False, True])
async def test_what_contacts_did_on_their_way_to_a_step_counts_there(system: System, paused: bool) -> None:
    """Since they entered: also while their cohort was under way, paused or waiting for a worker."""
    async with working(system):
        batch = await start(system, WAITING, contacts("a", "b", "c"))
        await settled(system, batch, first=3)
        if paused:
            await system.post(f"batches/{batch}/pause", {})
            await happen(system, "a", "unsubscribed")
            await asyncio.sleep(0.5)
            assert standing(await system.batch(batch)) == {"first": 3}
            await system.post(f"batches/{batch}/resume", {})
            await settled(system, batch, first=2)
    if not paused:
        await happen(system, "a", "unsubscribed")
    await system.turn(days=3)
    async with working(system):
        found = await settled(system, batch, second=2)
        assert outcomes(found) == {"first": {"exited": 1, "passed": 2}}


async def test_an_event_counts_where_a_contact_stands_though_its_time_there_is_over_before_it_is_looked_at(
    system: System,
) -> None:
    """No worker was there from the entering on until long after the wait."""
    await system.publish("journey: 1\n" + WAITING)
    batch = await system.start(contacts("a", "b", "c"))
    await reading.read(system.engine, batch, asyncio.Event())
    await happen(system, "a", "unsubscribed")
    await system.turn(days=3)
    async with working(system):
        found = await settled(system, batch, second=2)
        assert outcomes(found) == {"first": {"exited": 1, "passed": 2}}


async def test_before_each_message_those_leave_who_meet_a_rule_and_get_none(system: System) -> None:
    await system.publish("journey: 1\n" + MAILS)
    content = contacts("a", "b", order="A-1") + contacts("c", order="A-1", stage="won") + contacts("d")
    batch = await system.start(content)
    async with working(system):
        found = await system.until(batch, lambda found: standing(found) == {"later": 3})
        assert outcomes(found) == {"mail": {"exited": 1, "sent": 3}}
    assert sorted(mail.recipients[0] for mail in system.sandbox.mails) == [f"{each}@example.com" for each in "abd"]


async def test_an_event_between_entering_and_the_message_keeps_it_from_going_out(system: System) -> None:
    await system.publish("journey: 1\n" + MAILS)
    async with working(system):
        paused = await _entered(system, contacts("a", "b", "c", order="A-1"))
        await happen(system, "a", "purchase", properties={"order": "A-1"})
        await happen(system, "b", "purchase", properties={"order": "B-2"})
        await happen(system, "c", "unsubscribed")
        await system.post(f"batches/{paused}/resume", {})
        found = await system.until(paused, lambda found: standing(found) == {"later": 1})
        assert outcomes(found) == {"mail": {"goal": 1, "exited": 1, "sent": 1}}
        lines = await system.lines(f"batches/{paused}/journal?step=mail")
        assert {each["contact"]: each["detail"] for each in lines if each["outcome"] != "sent"} == {
            "a": "with the event purchase with their own order",
            "c": "with the event unsubscribed",
        }
    assert [mail.recipients for mail in system.sandbox.mails] == [["b@example.com"]]


async def _entered(system: System, content: bytes) -> str:
    """A batch that entered and was held before anything was sent."""
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}})).json()
    answer = await system.http.put(opened["uploadUrl"], content=content, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 200, answer.text
    batch = str(opened["batchId"])
    await system.until(batch, lambda found: standing(found) == {"mail": 3})
    return batch


async def test_an_event_from_before_the_contact_entered_lets_nobody_go(system: System) -> None:
    async with working(system):
        await system.publish("journey: 1\n" + WAITING)
        await happen(system, "a", "unsubscribed")
        await system.turn(seconds=5)
        batch = await system.start(contacts("a"))
        await settled(system, batch, first=1)
        await _until_looked(system)
        assert standing(await system.batch(batch)) == {"first": 1}


async def test_where_a_step_waits_for_the_same_event_the_journey_goes_first(system: System) -> None:
    definition = """
name: Both
goal: {event: purchase, if: total > 100}
steps:
  - {id: bought, wait_for: {event: purchase, timeout: 2 days, then: thanks, else: late, save: [total]}}
  - {id: thanks, wait: 30 days}
  - {id: late, wait: 30 days}
"""
    async with working(system):
        batch = await start(system, definition, contacts("a", "b"))
        await settled(system, batch, bought=2)
        await happen(system, "a", "purchase", properties={"total": 150})
        await happen(system, "b", "purchase", properties={"total": 50})
        found = await settled(system, batch, thanks=1)
        assert outcomes(found) == {"bought": {"goal": 1, "passed": 1}}


async def test_those_who_stand_until_a_moment_of_their_own_leave_too(system: System) -> None:
    definition = """
name: Moments
exit_when: [{event: unsubscribed}]
steps:
  - {id: renewal, wait: {until: "{{ day }}", if_past: exit}, next: after}
  - {id: after, wait: 300 days}
"""
    now = system.clock.now()
    days = [f"{now.year + 1}-0{month}-01" for month in range(1, 8)]
    content = b"".join(contacts(f"c{index}", day=day) for index, day in enumerate(days * 3))
    rows = [json.loads(line) | {"id": f"c{index}"} for index, line in enumerate(content.splitlines())]
    async with working(system):
        batch = await start(system, definition, b"".join(json.dumps(each).encode() + b"\n" for each in rows))
        await settled(system, batch, renewal=21)
        await _until_looked(system)
        await happen(system, "c3", "unsubscribed")
        await happen(system, "c10", "unsubscribed")
        await settled(system, batch, renewal=19)
        months = {f"c{index}": day for index, day in enumerate(days * 3)}
        april = 31 + 28 + 31 + 2 + (365 - now.timetuple().tm_yday)
        await system.turn(days=april)
        gone = sum(day <= f"{now.year + 1}-04-01" for name, day in months.items() if name not in ("c3", "c10"))
        found = await settled(system, batch, renewal=19 - gone, after=gone)
        assert outcomes(found) == {"renewal": {"exited": 2, "passed": gone}}


async def test_a_single_that_enters_is_held_to_the_rules(system: System) -> None:
    async with working(system):
        await system.publish("journey: 1\n" + WAITING)
        answers = [
            await system.post("journeys/1/commence", {"id": each, "properties": {"country": country, "least": 1}})
            for each, country in (("a", "SE"), ("b", "NO"))
        ]
        assert [each.status_code for each in answers] == [202, 202], answers[0].text
        batch = answers[0].json()["batchId"]
        await system.until(batch, lambda found: standing(found) == {"first": 1} and found["ledger"]["entered"] == 2)
        await happen(system, "b", "purchase", properties={"total": 2})
        await system.until(batch, lambda found: outcomes(found) == {"first": {"exited": 1, "goal": 1}})


async def test_a_cancel_recalls_only_those_who_are_still_there(system: System) -> None:
    async with working(system):
        batch = await start(system, WAITING, contacts("a", "b", "c"))
        await settled(system, batch, first=3)
        await happen(system, "a", "unsubscribed")
        await settled(system, batch, first=2)
        await system.post(f"batches/{batch}/cancel", {})
        found = await system.until(batch, lambda found: not standing(found))
        assert outcomes(found) == {"first": {"exited": 1, "cancelled": 2}}


async def _listeners(system: System) -> list[listening.Listener]:
    async with system.engine.pool.connection() as connection:
        return await listening.listeners(connection, system.customer)


async def _until_looked(system: System) -> None:
    for _ in range(1_000):
        found = await _listeners(system)
        if found and not any(each.look for each in found):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the events that are kept are still to be looked through")
