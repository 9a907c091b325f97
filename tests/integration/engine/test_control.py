"""Pause, resume, cancel."""

import asyncio

import pytest

from caravan.channels.replies import Stage
from caravan.channels.sandbox import Received
from caravan.engine import reading
from caravan.store import cohorts
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import EXIT, MAIL, SPRING, WAIT, contacts


async def _change(system: System, batch: str, change: str, status: int = 200) -> dict:  # type: ignore[type-arg]
    answer = await system.post(f"batches/{batch}/{change}", {})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_a_pause_holds_those_who_fall_due_and_a_resume_lets_them_go(system: System) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(250))
    await system.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 250)
    found = await _change(system, batch, "pause")
    assert found["state"] == "paused"
    assert "paused since" in found["waitingFor"]
    await system.turn(days=4)
    await asyncio.sleep(0.7)
    assert (await system.batch(batch))["ledger"]["steps"][0]["standing"] == 250
    assert (await _change(system, batch, "resume"))["state"] == "running"
    found = await system.ended(batch)
    assert found["ledger"]["steps"][1]["outcomes"] == {"passed": 250}


async def test_all_of_them_may_be_said_twice_and_are_refused_after_the_end(system: System) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(3))
    await system.until(batch, lambda b: b["state"] == "running")
    for change, state in [("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")]:
        for _ in range(2):
            assert (await _change(system, batch, change))["state"] == state
    await _change(system, batch, "pause", 409)
    await _change(system, batch, "resume", 409)
    await system.publish(EXIT)
    done = await system.start(contacts(1))
    await system.ended(done)
    for change in ("pause", "resume", "cancel"):
        await _change(system, done, change, 409)


async def test_a_cancel_recalls_everyone_who_stands(system: System) -> None:
    await system.publish(SPRING)
    batch = await system.start(contacts(40))
    await system.until(batch, lambda b: b["ledger"]["steps"][3]["standing"] == 40)
    found = await _change(system, batch, "cancel")
    assert found["state"] == "cancelled"
    assert found["ledger"]["steps"][3]["outcomes"] == {"cancelled": 40}
    await system.turn(days=4)
    await asyncio.sleep(0.5)
    assert (await system.batch(batch))["ledger"] == found["ledger"]
    lines = await system.lines(f"batches/{batch}/journal?outcome=cancelled")
    assert len(lines) == 40


async def test_a_batch_can_be_cancelled_before_its_file_comes(system: System) -> None:
    await system.publish(EXIT)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    assert (await _change(system, opened["batchId"], "cancel"))["state"] == "cancelled"
    answer = await system.http.put(opened["uploadUrl"], content=contacts(1), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 409


@pytest.mark.parametrize("change", ["pause", "cancel"])
async def test_a_sender_in_the_middle_of_a_cohort_stops_and_nobody_gets_it_twice(
    system: System, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    reached = asyncio.Event()

    def script(stage: Stage, mail: Received) -> None:
        if len(system.sandbox.mails) >= 25:
            reached.set()

    monkeypatch.setattr(system.sandbox, "_script", script)
    await system.publish(MAIL)
    batch = await system.start(contacts(100))
    await reached.wait()
    await _change(system, batch, change)
    await asyncio.sleep(1.0)
    at_rest = len(system.sandbox.mails)
    found = await system.batch(batch)
    outcomes = found["ledger"]["steps"][0]["outcomes"]
    sent = {line["contact"] for line in await system.lines(f"batches/{batch}/journal?outcome=sent")}
    assert len(sent) == at_rest
    if change == "cancel":
        assert outcomes.get("sent", 0) + outcomes.get("cancelled", 0) == 100
        assert outcomes.get("sent", 0) == at_rest
        return
    await asyncio.sleep(0.3)
    assert len(system.sandbox.mails) == at_rest
    await _change(system, batch, "resume")
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 100}
    assert len({mail.recipients[0] for mail in system.sandbox.mails}) == 100 == len(system.sandbox.mails)


async def test_a_pause_while_the_file_is_read_holds_everyone_at_the_first_step(idle_system: System) -> None:
    system = idle_system
    await system.publish(MAIL)
    batch = await system.start(contacts(30))
    assert (await _change(system, batch, "pause"))["state"] == "paused"
    async with working(system):
        found = await system.until(batch, lambda b: b["ledger"]["entered"] == 30)
        assert found["state"] == "paused"
        await asyncio.sleep(0.3)
        assert system.sandbox.mails == []
        await _change(system, batch, "resume")
        assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 30}


async def test_whoever_was_on_the_way_at_a_cancel_leaves_at_the_next_step(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is nowhere: those who had been sent to when the cancel came arrive at the next step, and leave there."""
    reached = asyncio.Event()

    def script(stage: Stage, mail: Received) -> None:
        if len(system.sandbox.mails) >= 25:
            reached.set()

    monkeypatch.setattr(system.sandbox, "_script", script)
    await system.publish(MAIL + "    next: days\n  - id: days\n    wait: 3 days\n")
    batch = await system.start(contacts(100))
    await reached.wait()
    await _change(system, batch, "cancel")
    found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 0)
    mail, days = found["ledger"]["steps"]
    assert mail["arrived"] == 100
    assert days["arrived"] == mail["outcomes"]["sent"] == days["outcomes"]["cancelled"]
    stopped = {line["contact"] for line in await system.lines(f"batches/{batch}/journal?outcome=cancelled")}
    assert len(stopped) == 100


async def test_a_cancel_in_the_middle_of_a_split_leaves_nobody_between_two_steps(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caravan.steps.split import Split

    begun, go_on, take = asyncio.Event(), asyncio.Event(), Split.take

    async def slowly(self: Split, cohort, tools):  # type: ignore[no-untyped-def]
        begun.set()
        await go_on.wait()
        return await take(self, cohort, tools)

    monkeypatch.setattr(Split, "take", slowly)
    await system.publish(SPRING)
    batch = await system.start(contacts(10))
    await begun.wait()
    await _change(system, batch, "cancel")
    go_on.set()
    found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 0)
    steps = {step["step"]: step for step in found["ledger"]["steps"]}
    assert steps["vip_or_not"]["outcomes"] == {"passed": 10}
    assert steps["vip_offer"]["outcomes"] == steps["offer"]["outcomes"] == {"cancelled": 5}


async def test_a_cancel_after_a_pause_tells_those_who_were_reached_from_the_others(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cohort stands in nobody's hands, and a part of it has been sent to."""
    reached = asyncio.Event()

    def script(stage: Stage, mail: Received) -> None:
        if len(system.sandbox.mails) >= 25:
            reached.set()

    monkeypatch.setattr(system.sandbox, "_script", script)
    await system.publish(MAIL)
    batch = await system.start(contacts(100))
    await reached.wait()
    await _change(system, batch, "pause")
    await asyncio.sleep(0.8)
    assert (await system.batch(batch))["ledger"]["steps"][0]["standing"] == 100
    await _change(system, batch, "cancel")
    found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 0)
    at_rest = len(system.sandbox.mails)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": at_rest, "cancelled": 100 - at_rest}
    sent = {line["contact"] for line in await system.lines(f"batches/{batch}/journal?outcome=sent")}
    assert {f"c{contact}@example.com" for contact in sent} == {mail.recipients[0] for mail in system.sandbox.mails}


async def test_a_cancel_recalls_also_who_was_in_the_hands_of_one_who_died_before_a_pause(idle_system: System) -> None:
    """Their job came back during the pause, and ended with nothing done."""
    system = idle_system
    await system.publish(MAIL)
    batch = await system.start(contacts(30))
    await reading.read(system.engine, batch, asyncio.Event())
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute("select id from cohorts")).fetchone()
        assert found is not None
        assert await cohorts.claim(connection, found["id"], "dead")
    await _change(system, batch, "pause")
    async with working(system):
        await asyncio.sleep(0.3)
        await _change(system, batch, "cancel")
        found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 0, seconds=5)
    assert found["ledger"]["steps"][0]["outcomes"] == {"cancelled": 30}
    assert system.sandbox.mails == []
