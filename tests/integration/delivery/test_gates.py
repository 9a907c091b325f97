"""Gates decide before a window is sent: what goes out, what is skipped, and what stands until a time or an event."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from caravan.channels.sandbox import Sandbox
from caravan.delivery.envelope import Envelope
from caravan.delivery.gates import SEND, Decision, Later, Skip
from caravan.delivery.signing import read_back
from caravan.engine import reading
from caravan.engine import worker as workers
from caravan.engine.advance import advance
from caravan.settings import Settings
from caravan.store.cohorts import Cohort
from caravan.store.ledger import Outcome
from tests.integration.conftest import System, open_house, working
from tests.integration.delivery.test_silent_sender import _enter, _standing
from tests.integration.engine.fuse import Crash
from tests.integration.journeys_for_tests import MAIL, contacts

TWO = MAIL + "    next: days\n  - id: days\n    wait: 3 days\n"
RULE = Callable[[int], Decision]


class Rule:
    """A gate that decides by the number in an address, and keeps what it was asked."""

    def __init__(self, rule: RULE) -> None:
        self.rule, self.asked = rule, list[list[str]]()
        self.named = set[tuple[str, str]]()

    async def decide(self, cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]) -> list[Decision]:
        self.asked.append([each.recipient for each in envelopes])
        self.named.add((channel, cohort.step))
        return [self.rule(int(each.recipient[1:].partition("@")[0])) for each in envelopes]


@asynccontextmanager
async def gated(settings: Settings, sandbox: Sandbox, *gates: Any) -> AsyncIterator[System]:
    """A system without a worker yet, whose workers have these gates."""
    reachable = settings.model_copy(update={"smtp_url": sandbox.url})
    makers = [lambda pool, clock, gate=gate: gate for gate in gates]
    async with open_house(reachable, sandbox, gates=makers) as system:
        yield system


def _received(sandbox: Sandbox) -> Counter[str]:
    return Counter(mail.recipients[0].partition("@")[0] for mail in sandbox.mails)


def _named(numbers: Any) -> Counter[str]:
    return Counter(f"c{number}" for number in numbers)


SUPPRESSED = Skip(Outcome.SUPPRESSED, "unsubscribed on 2026-11-01")


async def test_what_a_gate_skips_is_journaled_with_its_outcome_and_goes_on(
    settings: Settings, sandbox: Sandbox
) -> None:
    rule = Rule(lambda number: SUPPRESSED if number % 3 == 0 else SEND)
    async with gated(settings, sandbox, rule) as system, working(system):
        await system.publish(TWO)
        batch = await system.start(contacts(25))
        found = await system.until(batch, lambda b: b["ledger"]["steps"][1]["standing"] == 25)
        assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 16, "suppressed": 9}
        lines = await system.lines(f"batches/{batch}/journal?outcome=suppressed")
        assert {each["contact"] for each in lines} == {str(number) for number in range(0, 25, 3)}
        assert {each["detail"] for each in lines} == {"unsubscribed on 2026-11-01"}
    assert _received(sandbox) == _named(number for number in range(25) if number % 3)
    assert sorted(map(len, rule.asked)) == [5, 10, 10], "once a window"
    assert rule.named == {("email", "mail")}


async def test_each_gate_is_asked_about_what_those_before_it_let_through(settings: Settings, sandbox: Sandbox) -> None:
    first = Rule(lambda number: SUPPRESSED if number < 4 else SEND)
    second = Rule(lambda number: Skip(Outcome.FAILED, "no credit") if number == 7 else SEND)
    nothing_left = Rule(lambda number: SUPPRESSED)
    async with gated(settings, sandbox, first, second, nothing_left) as system, working(system):
        await system.publish(MAIL)
        found = await system.ended(await system.start(contacts(10)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"suppressed": 9, "failed": 1}
    assert [len(each) for each in (first.asked[0], second.asked[0], nothing_left.asked[0])] == [10, 6, 5]
    assert not sandbox.mails


async def test_what_is_for_later_stands_without_an_attempt_and_is_asked_about_again_in_its_time(
    settings: Settings, sandbox: Sandbox
) -> None:
    until: list[datetime] = []
    closed = lambda number: Later(until[number % 2], f"quiet hours {number % 2}") if number >= 6 else SEND  # noqa: E731
    rule = Rule(closed)
    async with gated(settings, sandbox, rule) as system, working(system):
        now = system.clock.now()
        until[:] = [now + timedelta(hours=1), now + timedelta(hours=2)]
        await system.publish(MAIL)
        batch = await system.start(contacts(20))
        found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"] == {"sent": 6})
        assert found["ledger"]["steps"][0]["standing"] == 14
        assert found["waiting"]["kind"] == "wait"
        assert found["waiting"]["reason"] in ("quiet hours 0", "quiet hours 1")
        assert await _cohorts(system) == [
            (7, 1, None, until[0], "quiet hours 0"),
            (7, 1, None, until[1], "quiet hours 1"),
        ]
        (line,) = await system.lines(f"batches/{batch}/journal?contact=8")
        assert line["outcome"] == "standing"
        assert line["detail"].startswith("until ") and line["detail"].endswith(" UTC: quiet hours 0")
        assert (await system.post(f"batches/{batch}/give-up", {})).status_code == 200  # nothing is being retried
        rule.rule = lambda number: SEND
        await system.turn(hours=1, seconds=1)
        await system.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"] == {"sent": 13})
        await system.turn(hours=1, seconds=1)
        assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 20}
    assert _received(sandbox) == _named(range(20))


async def _cohorts(system: System) -> list[tuple[Any, ...]]:
    """The cohorts that stand: size, attempt, first attempt, due, reason."""
    async with system.engine.pool.connection() as connection:
        found = await connection.execute("select * from cohorts where closed_at is null order by due_at, id")
        columns = ("size", "attempt", "first_tried_at", "due_at", "reason")
        return [tuple(each[name] for name in columns) for each in await found.fetchall()]


async def test_a_thousand_times_are_made_to_few_cohorts_and_nobody_is_early(
    settings: Settings, sandbox: Sandbox
) -> None:
    base: list[datetime] = []
    rule = Rule(lambda number: Later(base[0] + timedelta(minutes=number + 1), "its own hour"))
    async with gated(settings, sandbox, rule) as system, working(system):
        base.append(system.clock.now())
        await system.publish(MAIL)
        batch = await system.start(contacts(100))
        await system.until(batch, lambda b: (b["waiting"] or {}).get("kind") == "wait")
        standing = await _cohorts(system)
        assert len(standing) <= 32
        assert sum(each[0] for each in standing) == 100
        rule.rule = lambda number: SEND
        await system.turn(minutes=50, seconds=1)
        # Four share a cohort, which is due with the last of them.
        await system.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"] == {"sent": 48})
        await system.until(batch, lambda b: (b["waiting"] or {}).get("kind") == "wait")
    assert _received(sandbox) == _named(range(48))


async def test_a_retry_counts_and_standing_does_not(settings: Settings, sandbox: Sandbox) -> None:
    """A contact that was tried once, stands, and is tried again keeps its first attempt."""
    rule, replies = Rule(lambda number: SEND), ["451 4.7.1 later", None]
    async with gated(settings, sandbox, rule) as system:
        system.sandbox._script = lambda stage, received: replies[0] if stage == "rcpt" else None
        await system.publish(MAIL)
        batch = await system.start(contacts(1))
        await reading.read(system.engine, batch, asyncio.Event())
        async with workers.tools_of(system.engine) as tools:
            await advance(system.engine, tools, await _standing(system))
            ((_, attempt, first_tried, _, _),) = await _cohorts(system)
            assert attempt == 2
            assert timedelta(0) <= system.clock.now() - first_tried < timedelta(minutes=1)
            until = system.clock.now() + timedelta(hours=3)
            rule.rule = lambda number: Later(until, "quiet hours")
            await system.turn(hours=1)
            await advance(system.engine, tools, await _standing(system))
            assert await _cohorts(system) == [(1, 2, first_tried, until, "quiet hours")]
            await system.turn(hours=3)
            rule.rule, replies[0] = lambda number: SEND, None
            await advance(system.engine, tools, await _standing(system))
        assert (await system.batch(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 1}


async def test_what_stands_until_an_event_has_no_job_outlives_a_pause_and_is_recalled_as_cancelled(
    settings: Settings, sandbox: Sandbox
) -> None:
    rule = Rule(lambda number: Later(None, "a confirmation") if number else SEND)
    async with gated(settings, sandbox, rule) as system, working(system):
        await system.publish(TWO)
        batch = await system.start(contacts(5))
        found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"] == {"sent": 1})
        assert "4 contacts at mail are standing until an event: a confirmation" in found["waitingFor"]
        assert found["waiting"]["until"] is None or found["waiting"]["step"] == "days"
        for command in ("pause", "resume"):
            assert (await system.post(f"batches/{batch}/{command}", {"freezeWaits": True})).status_code == 200
        await system.turn(days=400)
        await system.until(batch, lambda b: b["ledger"]["steps"][1]["outcomes"] == {"passed": 1})
        async with system.engine.pool.connection() as connection:
            jobs = await connection.execute("select 1 from procrastinate_jobs where queue_name = 'deliver'")
            assert not await jobs.fetchall()
        await system.post(f"batches/{batch}/cancel", {})
        found = await system.batch(batch)
        assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 1, "cancelled": 4}
    assert _received(sandbox) == _named([0])


async def test_what_a_cancel_meets_while_a_gate_thinks_is_recalled(settings: Settings, sandbox: Sandbox) -> None:
    class Slow(Rule):
        async def decide(self, *arguments: Any) -> list[Decision]:
            await system.post(f"batches/{batch}/cancel", {})
            return await super().decide(*arguments)

    rule = Slow(lambda number: (SEND, SUPPRESSED, Later(None, "an event"))[number % 3])
    async with gated(settings, sandbox, rule) as system:
        batch = await _enter(system, 30)
        async with workers.tools_of(system.engine) as tools:
            await advance(system.engine, tools, await _standing(system))
        (step,) = (await system.batch(batch))["ledger"]["steps"]
        got = len(sandbox.mails)
        assert step["standing"] == 0
        assert {"sent": 0, **step["outcomes"]} == {"sent": got, "suppressed": 3, "cancelled": 27 - got}


async def test_a_crash_between_gate_and_window_sends_nothing_and_the_gate_is_asked_again(
    settings: Settings, sandbox: Sandbox
) -> None:
    class Deadly(Rule):
        async def decide(self, *arguments: Any) -> list[Decision]:
            await super().decide(*arguments)
            raise Crash

    deadly = Deadly(lambda number: SEND)
    alive = Rule(lambda number: SUPPRESSED if number % 2 else SEND)
    async with gated(settings, sandbox, alive) as system:
        batch = await _enter(system)
        async with workers.tools_of(system.engine) as tools:
            with pytest.raises(Crash):
                quick = replace(tools.pacing, lease=0.05)
                await advance(system.engine, replace(tools, gates=[deadly], pacing=quick), await _standing(system))
        assert not sandbox.mails
        async with working(system):
            found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 5, "suppressed": 5}
    assert _received(sandbox) == _named(range(0, 10, 2))


@pytest.mark.parametrize("wrong", [lambda envelopes: [], lambda envelopes: [SEND] * (len(envelopes) + 1)])
async def test_a_gate_that_does_not_answer_for_each_delivery_holds_up_all_of_them(
    settings: Settings, sandbox: Sandbox, wrong: Any
) -> None:
    class Wrong:
        async def decide(self, cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]) -> list[Decision]:
            return list(wrong(envelopes))

    async with gated(settings, sandbox, Wrong()) as system:
        batch = await _enter(system)
        async with workers.tools_of(system.engine) as tools:
            with pytest.raises(ValueError, match="zip"):
                await advance(system.engine, tools, await _standing(system))
        assert (await system.batch(batch))["ledger"]["steps"][0]["standing"] == 10
    assert not sandbox.mails


async def test_a_gate_sees_recipients_and_keys_that_lead_back(settings: Settings, sandbox: Sandbox) -> None:
    seen = list[Envelope[Any]]()

    class Watching:
        async def decide(self, cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]) -> list[Decision]:
            seen.extend(envelopes)
            return [SEND] * len(envelopes)

    async with gated(settings, sandbox, Watching()) as system, working(system):
        await system.publish(MAIL)
        batch = await system.start(contacts(12))
        await system.ended(batch)
        async with system.engine.pool.connection() as connection:
            keys = [await read_back(connection, each.key) for each in seen]
    for envelope, key in zip(seen, keys, strict=True):
        assert key is not None
        assert (key.batch, key.step, envelope.recipient) == (batch, 0, f"c{key.line - 1}@example.com")
        assert envelope.key.encode() in envelope.message.content


@pytest.mark.parametrize("outcome", [Outcome.SENT, Outcome.CANCELLED])
def test_a_skip_can_not_say_that_something_was_sent_or_recalled(outcome: Outcome) -> None:
    with pytest.raises(ValueError, match="can't be"):
        Skip(outcome, "no")
