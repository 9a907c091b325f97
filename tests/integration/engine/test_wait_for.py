"""Waiting for an event: the first that happens decides, nobody leaves twice, and the ledger balances."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from caravan.engine import advance as advancing
from caravan.engine import matching
from caravan.engine.worker import tools_of
from caravan.events.event import Event
from caravan.events.take import take
from caravan.steps.move import Tools
from caravan.steps.remaining import remaining
from caravan.store import listening
from caravan.store.cohorts import Cohort, get
from tests.integration.conftest import System, working


@pytest.fixture
def system(idle_system: System) -> System:
    """A system whose tests say when it works."""
    return idle_system


BOUGHT = """
name: Bought
steps:
  - id: bought
    wait_for:
      any:
        - {event: purchase, if: total > 100, to: large}
        - {event: purchase, to: small}
        - {event: unsubscribed, to: gone}
      timeout: 2 days
      to: late
  - {id: large, wait: 30 days}
  - {id: small, wait: 30 days}
  - {id: gone, wait: 30 days}
  - {id: late, wait: 30 days}
"""


def contacts(*ids: str, **properties: object) -> bytes:
    return b"".join(json.dumps({"id": each, "properties": properties}).encode() + b"\n" for each in ids)


async def happen(system: System, contact: str, event: str, **members: object) -> None:
    answer = await system.post("events", {"id": contact, "event": event, **members})
    assert answer.json()["taken"] == 1, answer.text


def standing(found: dict[str, Any]) -> dict[str, int]:
    return {each["step"]: each["standing"] for each in found["ledger"]["steps"] if each["standing"]}


async def start(system: System, definition: str, content: bytes) -> str:
    await system.publish("journey: 1\n" + definition)
    return await system.start(content)


async def settled(system: System, batch: str, **wanted: int) -> dict[str, Any]:
    return await system.until(batch, lambda found: standing(found) == wanted)


async def test_an_event_leads_its_contact_on_and_the_others_stand(system: System) -> None:
    async with working(system):
        batch = await start(system, BOUGHT, contacts("a", "b", "c", "d"))
        await settled(system, batch, bought=4)
        await happen(system, "b", "purchase", properties={"total": 150})
        await happen(system, "c", "purchase", properties={"total": 50})
        await happen(system, "c", "unsubscribed")
        await happen(system, "nobody", "purchase")
        await happen(system, "d", "opened")
        found = await settled(system, batch, bought=2, large=1, small=1)
        (bought, *_) = found["ledger"]["steps"]
        assert bought["outcomes"] == {"passed": 2}
        lines = {each["contact"]: each for each in await system.lines(f"batches/{batch}/journal?step=bought")}
        assert {each: line["detail"] for each, line in lines.items()} == {
            "b": "purchase: large",
            "c": "purchase: small",
        }
        still = await system.lines(f"batches/{batch}/journal?step=bought&outcome=standing")
        assert sorted(each["contact"] for each in still) == ["a", "d"]
        way = (await system.get("contacts/b")).json()["entries"][0]["stays"]
        assert [(each["step"], each["outcome"]) for each in way] == [("bought", "passed"), ("large", "standing")]


async def test_whoever_has_not_left_by_an_event_leaves_when_the_time_is_over(system: System) -> None:
    async with working(system):
        batch = await start(system, BOUGHT, contacts("a", "b", "c"))
        await settled(system, batch, bought=3)
        await happen(system, "b", "unsubscribed")
        await settled(system, batch, bought=2, gone=1)
        await system.turn(days=2, seconds=1)
        found = await settled(system, batch, late=2, gone=1)
        assert found["ledger"]["steps"][0] == {"step": "bought", "arrived": 3, "standing": 0, "outcomes": {"passed": 3}}
        await happen(system, "a", "purchase")
        lines = await system.lines(f"batches/{batch}/journal?step=bought")
        assert {each["contact"]: each["detail"] for each in lines} == {
            "a": "time over: late",
            "b": "unsubscribed: gone",
            "c": "time over: late",
        }


async def test_an_event_that_comes_just_before_the_contact_counts(system: System) -> None:
    """The step before takes its time: what contacts did meanwhile is found when they come."""
    before = "\nname: Before\nsteps:\n  - {id: first, wait: 1 hour, next: bought}\n" + BOUGHT.partition("steps:\n")[2]
    async with working(system):
        batch = await start(system, before, contacts("a", "b", "c"))
        await settled(system, batch, first=3)
        old = (system.clock.now() - timedelta(minutes=5)).isoformat()
        await happen(system, "c", "unsubscribed", at=old)  # before the contact came to the step before
        await happen(system, "b", "unsubscribed")
        await system.turn(hours=1, seconds=1)
        just = (system.clock.now() - timedelta(milliseconds=1)).isoformat()
        await happen(system, "a", "unsubscribed", at=just)
        await settled(system, batch, bought=1, gone=2)
        lines = await system.lines(f"batches/{batch}/journal?step=bought&outcome=standing")
        assert [each["contact"] for each in lines] == ["c"]


@pytest.mark.parametrize(
    ("since", "gone"), [("journey", {"a", "b"}), ("10 minutes", {"b"}), ("step", {"a", "b"}), ("0 s", set())]
)
async def test_from_when_on_an_event_counts_is_said_by_the_step(system: System, since: str, gone: set[str]) -> None:
    definition = f"""
name: Since
steps:
  - {{id: first, wait: 1 hour, next: bought}}
  - {{id: bought, wait_for: {{event: unsubscribed, timeout: 2 days, since: {since}, then: gone, else: late}}}}
  - {{id: gone, wait: 30 days}}
  - {{id: late, wait: 30 days}}
"""
    async with working(system):
        batch = await start(system, definition, contacts("a", "b", "c"))
        await settled(system, batch, first=3)
        await happen(system, "a", "unsubscribed")
        await system.turn(minutes=55)
        await happen(system, "b", "unsubscribed")
        await system.turn(minutes=6)
        wanted = {"bought": 3 - len(gone), "gone": len(gone)}
        await settled(system, batch, **{step: count for step, count in wanted.items() if count})
        if gone:
            lines = await system.lines(f"batches/{batch}/journal?step=bought&outcome=passed")
            assert {each["contact"] for each in lines} == gone


async def test_an_event_is_tied_to_the_contact_and_kept(system: System) -> None:
    definition = """
name: Order
steps:
  - id: paid
    wait_for:
      event: paid
      match: order
      if: amount >= contact.price and contact.id <> 'z'
      save: {paid_amount: amount}
      timeout: 2 days
      then: thanks
      else: late
  - {id: thanks, split: [{if: paid_amount = 20, to: right}, {else: wrong}]}
  - {id: right, wait: 30 days}
  - {id: wrong, wait: 30 days}
  - {id: late, wait: 30 days}
"""
    async with working(system):
        batch = await start(system, definition, contacts("a", "b", "z", order=17, price=15))
        await settled(system, batch, paid=3)
        await happen(system, "a", "paid", properties={"order": "18", "amount": 20})
        await happen(system, "b", "paid", properties={"order": "17", "amount": 10})
        await happen(system, "z", "paid", properties={"order": 17, "amount": 20})
        await happen(system, "a", "paid", properties={"order": "17", "amount": 20, "contact": {"price": 99}})
        await settled(system, batch, paid=2, right=1)
        assert (await system.get("contacts/a")).json()["entries"][0]["stays"][-1]["step"] == "right"


async def test_events_of_the_time_of_a_pause_count_when_it_ends(system: System) -> None:
    async with working(system):
        batch = await start(system, BOUGHT, contacts("a", "b"))
        await settled(system, batch, bought=2)
        await system.post(f"batches/{batch}/pause", {})
        await happen(system, "a", "unsubscribed")
        await system.until(batch, lambda found: standing(found) == {"bought": 2})
        await _until_matched(system)
        assert standing(await system.batch(batch)) == {"bought": 2}
        await system.post(f"batches/{batch}/resume", {})
        await settled(system, batch, bought=1, gone=1)


async def _until_matched(system: System) -> None:
    for _ in range(500):
        async with system.engine.pool.connection() as connection:
            if not await listening.any_unmatched(connection, system.customer):
                return
        await asyncio.sleep(0.02)
    raise AssertionError("the events are still to be matched")


async def test_a_cancel_recalls_those_who_stand_still_and_no_one_else(system: System) -> None:
    async with working(system):
        batch = await start(system, BOUGHT, contacts("a", "b", "c"))
        await settled(system, batch, bought=3)
        await happen(system, "b", "unsubscribed")
        await settled(system, batch, bought=2, gone=1)
        await system.post(f"batches/{batch}/cancel", {})
        found = await system.until(batch, lambda found: not standing(found))
        assert found["ledger"]["steps"][0]["outcomes"] == {"passed": 1, "cancelled": 2}
        lines = await system.lines(f"batches/{batch}/journal?step=bought&outcome=cancelled")
        assert sorted(each["contact"] for each in lines) == ["a", "c"]


async def test_all_may_leave_by_events_and_the_batch_is_done(system: System) -> None:
    definition = "\nname: End\nsteps:\n  - {id: bought, wait_for: {event: purchase, timeout: 2 days}}\n"
    async with working(system):
        batch = await start(system, definition, contacts(*map(str, range(250))))
        await settled(system, batch, bought=250)
        body = "\n".join(json.dumps({"id": str(each), "event": "purchase"}) for each in range(250))
        headers = {"Content-Type": "application/x-ndjson"}
        await system.http.post(system.path("events"), content=body, headers=headers)
        found = await system.ended(batch)
        assert found["state"] == "completed"
        assert found["ledger"]["steps"][0]["outcomes"] == {"passed": 250}
        async with system.engine.pool.connection() as connection:
            assert await listening.listeners(connection, system.customer) == []
            left = await (await connection.execute("select count(*) as n from departures")).fetchone()
        assert left is not None and left["n"] == 0


async def test_of_event_and_time_in_the_same_moment_one_decides_for_each_contact(system: System) -> None:
    """Again and again: the job of the time that is over and the one that matches run at once."""
    async with working(system):
        for _ in range(4):
            ids = [str(each) for each in range(120)]
            batch = await start(system, BOUGHT, contacts(*ids))
            await settled(system, batch, bought=120)
            now = system.clock.now()
            events = [Event(each, "unsubscribed", now) for each in ids[::2]]
            async with system.engine.pool.connection() as connection:
                await take(connection, system.customer, events)
            await asyncio.sleep(0.28)
            await system.turn(days=2)
            found = await system.until(batch, lambda found: "bought" not in standing(found))
            assert sum(standing(found).values()) == 120
            lines = await system.lines(f"batches/{batch}/journal?step=bought")
            assert sorted(each["contact"] for each in lines) == sorted(ids)
            # All these events came before the time was over, so each of them decides.
            assert standing(found) == {"gone": 60, "late": 60}


async def test_an_event_that_was_taken_before_the_time_was_over_decides_also_when_no_worker_was_there(
    system: System,
) -> None:
    async with working(system):
        batch = await start(system, BOUGHT, contacts("a", "b"))
        await settled(system, batch, bought=2)
    await happen(system, "a", "unsubscribed")
    await system.turn(days=3)
    async with working(system):
        await settled(system, batch, late=1, gone=1)


async def test_what_is_cut_off_between_the_event_and_the_move_is_done_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies in the transaction of the move, and after it before the events are forgotten."""
    async with working(system):
        batch = await start(system, BOUGHT, contacts("a", "b"))
        await settled(system, batch, bought=2)
        real, calls = matching.listening.depart, []

        async def die(*given: Any) -> bool:
            calls.append(1)
            if len(calls) == 1:
                await real(*given)
                raise ConnectionError("the worker dies")
            return await real(*given)

        monkeypatch.setattr(matching.listening, "depart", die)
        await happen(system, "a", "unsubscribed")
        await settled(system, batch, bought=1, gone=1)
        assert len(calls) >= 2
        async with system.engine.pool.connection() as connection:
            (listener,) = await listening.listeners(connection, system.customer)
            event = [["a", "unsubscribed", datetime.now(UTC).isoformat(), {}]]
            await listening.add_unmatched(connection, system.customer, json.dumps(event))  # as if they had stayed
            await listening.defer_match(connection, system.customer)
        await _until_matched(system)
        assert standing(await system.batch(batch)) == {"bought": 1, "gone": 1}
        async with system.engine.pool.connection() as connection:
            cohort = await get(connection, listener.id)
            assert cohort is not None and cohort.part.size == 1


async def test_one_event_leads_on_once_where_two_steps_in_a_row_wait_for_it(system: System) -> None:
    definition = """
name: Twice
steps:
  - {id: one, wait_for: {event: opened, timeout: 2 days, then: two, else: late}}
  - {id: two, wait_for: {event: opened, timeout: 2 days, then: done, else: late}}
  - {id: done, wait: 30 days}
  - {id: late, wait: 30 days}
"""
    async with working(system):
        batch = await start(system, definition, contacts("a", "b"))
        await settled(system, batch, one=2)
        await happen(system, "a", "opened")
        await settled(system, batch, one=1, two=1)
        await _until_looked(system)
        assert standing(await system.batch(batch)) == {"one": 1, "two": 1}
        await happen(system, "a", "opened")
        await settled(system, batch, one=1, done=1)


async def _until_looked(system: System) -> None:
    for _ in range(500):
        async with system.engine.pool.connection() as connection:
            found = await listening.listeners(connection, system.customer)
        if found and not any(each.look for each in found):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the events that are kept are still to be looked through")


async def test_a_time_out_that_is_under_way_is_done_anew_without_those_who_have_left(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is matched when the move of the time-out has read who stands, and before it is committed."""
    async with working(system):
        batch = await start(system, BOUGHT, contacts("a", "b", "c"))
        await settled(system, batch, bought=3)
        await _until_looked(system)
    engine, happened = system.engine, system.clock.now()
    await system.turn(days=2, seconds=1)
    async with engine.pool.connection() as connection:
        (listener,) = await listening.listeners(connection, system.customer)
    async with tools_of(engine) as tools:
        real = remaining

        async def slowly(cohort: Cohort, given: Tools) -> Cohort:
            left = await real(cohort, given)
            async with engine.pool.connection() as connection:
                await take(connection, system.customer, [Event("b", "unsubscribed", happened)])
            await matching.match(engine, tools, matching.finders_of(engine), system.customer)
            return left

        monkeypatch.setattr(advancing, "remaining", slowly)
        await advancing.advance(engine, tools, listener.id)
        monkeypatch.setattr(advancing, "remaining", real)
    assert standing(await system.batch(batch)) == {"bought": 2, "gone": 1}
    async with working(system):
        found = await settled(system, batch, late=2, gone=1)
        assert found["ledger"]["steps"][0]["outcomes"] == {"passed": 3}
        lines = await system.lines(f"batches/{batch}/journal?step=bought")
        assert sorted(each["contact"] for each in lines) == ["a", "b", "c"]
