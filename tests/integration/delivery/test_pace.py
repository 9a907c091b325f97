"""A channel's pace: even, shared, changed while it sends, and nobody is dropped for it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from caravan.channels.sandbox import Sandbox
from caravan.settings import Settings
from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import MAIL, contacts


@pytest.fixture
async def paced(settings: Settings, sandbox: Sandbox) -> AsyncIterator[System]:
    """A system without a worker, whose mails go to the sandbox; small windows and shares, so that several send."""
    reachable = settings.model_copy(update={"smtp_url": sandbox.url, "window_size": 10})
    async with open_house(reachable, sandbox) as system:
        await system.publish(MAIL)
        yield system


async def _rate(system: System, **body: object) -> list[dict]:  # type: ignore[type-arg]
    answer = await system.http.put(system.path("channels/email/rate"), json=body)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


async def _left(system: System, seconds: float) -> int:
    """How many mails came within so many seconds from now."""
    before = len(system.sandbox.mails)
    await asyncio.sleep(seconds)
    return len(system.sandbox.mails) - before


async def _until_first(system: System) -> None:
    deadline = time.monotonic() + 20
    while not system.sandbox.mails:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("workers", [1, 2])
async def test_mails_leave_at_their_pace_whoever_sends_them(paced: System, workers: int) -> None:
    (email, *_) = await _rate(paced, perSecond=40)
    assert email["paces"][0]["perSecond"] == 40
    async with AsyncExitStack() as stack:
        for _ in range(workers):
            await stack.enter_async_context(working(paced))
        batch = await paced.start(contacts(1_000))
        await _until_first(paced)
        await asyncio.sleep(0.5)
        begun = time.monotonic()
        count = await _left(paced, 4.0)
        seconds = time.monotonic() - begun  # more than were asked for, on a busy machine
        assert count <= 40 * seconds * 1.05 + 40 * 0.4, seconds
        assert count >= 40 * seconds * 0.6, seconds  # a lower bound for busy machines; `bench` tells more
        found = await paced.batch(batch)
        assert found["state"] == "running"
        assert found["ledger"]["steps"][0]["standing"] > 0
        await _rate(paced, perSecond=5_000)
        found = await paced.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 1_000}
    assert sorted(mail.recipients[0] for mail in paced.sandbox.mails) == sorted(
        f"c{number}@example.com" for number in range(1_000)
    )


async def test_what_stands_for_a_pace_says_so_and_a_change_wakes_it(paced: System) -> None:
    await _rate(paced, perSecond=0.01)
    async with working(paced):
        batch = await paced.start(contacts(30))
        found = await paced.until(batch, lambda found: (found["waiting"] or {}).get("reason") is not None)
        assert found["waiting"]["kind"] == "wait"
        assert found["waiting"]["contacts"] == 30  # the one that was sent to is counted with its cohort
        assert "paced at 0.01 a second" in found["waitingFor"]
        assert len(paced.sandbox.mails) == 1
        assert (await paced.http.delete(paced.path("channels/email/rate"))).status_code == 200
        found = await paced.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 30}
    assert len(paced.sandbox.mails) == 30


async def test_the_days_limit_holds_and_the_next_day_goes_on(paced: System) -> None:
    await _rate(paced, perDay=12)
    async with working(paced):
        batch = await paced.start(contacts(20))
        found = await paced.until(batch, lambda found: (found["waiting"] or {}).get("reason") is not None)
        assert "today's 12 deliveries by email are made" in found["waitingFor"]
        (email, *_) = (await paced.get("channels")).json()
        assert (email["paces"][0]["sentToday"], email["paces"][0]["mostToday"]) == (12, 12)
        assert len(paced.sandbox.mails) == 12
        async with paced.engine.pool.connection() as connection:  # it was yesterday
            await connection.execute("update paces set day = day - 1")
        await paced.turn(hours=24, seconds=20)
        found = await paced.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 20}
    assert len(paced.sandbox.mails) == 20


async def test_what_stands_for_a_pace_is_recalled_at_once_and_exactly(paced: System) -> None:
    await _rate(paced, perDay=7)
    async with working(paced):
        batch = await paced.start(contacts(20))
        await paced.until(batch, lambda found: (found["waiting"] or {}).get("reason") is not None)
        begun = time.monotonic()
        assert (await paced.post(f"batches/{batch}/cancel", {})).status_code == 200
        found = await paced.until(batch, lambda found: found["ledger"]["steps"][0]["standing"] == 0)
        assert time.monotonic() - begun < 60
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 7, "cancelled": 13}
    assert len(paced.sandbox.mails) == 7


async def test_a_pause_of_what_stands_for_a_pace_loses_nobody(paced: System) -> None:
    await _rate(paced, perSecond=0.01)
    async with working(paced):
        batch = await paced.start(contacts(20))
        await paced.until(batch, lambda found: (found["waiting"] or {}).get("reason") is not None)
        assert (await paced.post(f"batches/{batch}/pause", {})).status_code == 200
        assert (await paced.http.delete(paced.path("channels/email/rate"))).status_code == 200
        await asyncio.sleep(0.3)
        assert len(paced.sandbox.mails) == 1
        assert (await paced.post(f"batches/{batch}/resume", {})).status_code == 200
        found = await paced.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 20}


async def test_slots_of_those_who_get_nothing_are_given_back(paced: System) -> None:
    await _rate(paced, perDay=15)
    rows = contacts(20).replace(b"@example.com", b" no address", 10)
    async with working(paced):
        batch = await paced.start(rows)
        found = await paced.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 10, "failed": 10}


async def test_another_customer_and_another_channel_go_at_their_own_pace(paced: System) -> None:
    async with paced.engine.pool.connection() as connection:
        from caravan.engine.paces import set_limits
        from caravan.store.paces import Limits

        await set_limits(paced.engine, connection, None, "webhook", Limits(per_second=0.01))
        await set_limits(paced.engine, connection, None, "email", Limits(per_second=1_000))
    listed = (await paced.get("channels")).json()
    assert [(each["channel"], each["paces"][0]["allCustomers"]) for each in listed if each["paces"]] == [
        ("email", True),
        ("webhook", True),
    ]
    async with working(paced):
        found = await paced.ended(await paced.start(contacts(50)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 50}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "has none of them"),
        ({"perSecond": 0}, "between one a day and 1,000,000 a second"),
        ({"perSecond": "fast"}, "perSecond"),
        ({"perDay": 0}, "at least 1"),
        ({"persecond": 3}, "did you mean perSecond"),
        ({"ramp": {"first": 10, "factor": 1}}, "factor over 1"),
        ({"ramp": {"first": 10, "begins": "soon"}}, "ramp.begins"),
    ],
)
async def test_a_pace_that_can_not_be_kept_is_refused_in_a_sentence(
    paced: System, body: dict[str, object], words: str
) -> None:
    answer = await paced.http.put(paced.path("channels/email/rate"), json=body)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert (await paced.http.put(paced.path("channels/mail/rate"), json={"perSecond": 1})).status_code == 400
    assert {each["channel"]: each["paces"] for each in (await paced.get("channels")).json()}["email"] == []


async def test_a_warm_up_is_told_with_what_today_may_have(paced: System) -> None:
    day = (paced.clock.now() - timedelta(days=2)).date().isoformat()
    (email, *_) = await _rate(paced, perDay=10_000, ramp={"first": 1_000, "factor": 1.5, "begins": day})
    assert email["paces"] == [
        {
            "allCustomers": False,
            "perSecond": None,
            "perDay": 10_000,
            "ramp": {"begins": day, "first": 1_000, "factor": 1.5},
            "sentToday": 0,
            "mostToday": 2_250,
        }
    ]
