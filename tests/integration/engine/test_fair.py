"""Batches share the rate, each alike, and a batch that comes anew is served at once. Orders are asserted, no times."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from threading import Event
from typing import Any

import pytest

from caravan.channels.email import EmailChannel
from caravan.channels.mail import Mail
from caravan.channels.sandbox import Sandbox
from caravan.delivery import share, turn
from caravan.delivery.result import SendResult
from caravan.engine import reading, singles
from caravan.engine import worker as workers
from caravan.engine.advance import advance
from caravan.queue.job_manager import queue_app
from caravan.settings import Settings
from caravan.steps.move import Move
from caravan.store import turns
from caravan.store.queues import Queue
from tests.integration.conftest import System, open_house
from tests.integration.journeys_for_tests import MAIL

WINDOW, COHORT = 10, 100


@pytest.fixture(autouse=True)
def finely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Priorities as fine as these small cohorts, and senders that look after each window."""
    monkeypatch.setattr(turns, "_UNIT", 1)
    monkeypatch.setattr(turn, "_QUANTUM", 0.0)


def _file(name: str, size: int) -> bytes:
    rows = (f'{{"id": "{i}", "properties": {{"emailAddress": "{name}{i}@example.com"}}}}\n' for i in range(size))
    return "".join(rows).encode()


async def _enter(system: System, name: str, size: int) -> str:
    """A batch that is read; its contacts stand at their mail."""
    batch = await system.start(_file(name, size))
    await reading.read(system.engine, batch, asyncio.Event())
    return batch


async def _enter_single(system: System, name: str) -> str:
    contact = {"id": name, "properties": {"emailAddress": f"{name}0@example.com"}}
    answer = await system.post("journeys/1/commence", contact)
    batch = str(answer.json()["batchId"])
    await singles.gather(system.engine, batch)
    return batch


@asynccontextmanager
async def _sending(system: System, queues: dict[str, int] | None = None) -> AsyncIterator[None]:
    """A worker that has one sender."""
    stop = asyncio.Event()
    async with queue_app().open_async(system.engine.pool) as app:
        running = workers.work(app, system.engine, queues or {Queue.DELIVER: 1}, stop)
        task = asyncio.create_task(running)
        try:
            yield
        finally:
            stop.set()
            await task


def _order(system: System) -> str:
    """The batches to which the mails belonged, a letter each, in the order in which they came."""
    return "".join(mail.recipients[0][0] for mail in system.sandbox.mails)


def _meanwhile(monkeypatch: pytest.MonkeyPatch, mails: int, act: Callable[[], Awaitable[object]]) -> None:
    """Do something once, while the mail with this number is being sent."""
    send, count = EmailChannel.send, Counter[str]()

    async def watched(self: EmailChannel, message: Mail, on_data: Callable[[], None]) -> SendResult:
        count["mails"] += 1
        if count["mails"] == mails:
            await act()
        return await send(self, message, on_data)

    monkeypatch.setattr(EmailChannel, "send", watched)


async def _all_ended(system: System, *entered: str) -> None:
    for batch in entered:
        found = await system.ended(batch)
        (step,) = found["ledger"]["steps"]
        assert step["outcomes"] == {"sent": found["ledger"]["entered"]}
    assert set(Counter(mail.recipients[0] for mail in system.sandbox.mails).values()) == {1}


async def test_a_batch_that_comes_anew_is_next_however_many_wait(idle_system: System) -> None:
    system = idle_system
    await system.publish(MAIL)
    large = await _enter(system, "l", 5 * COHORT)
    small, single = await _enter(system, "s", 3), await _enter_single(system, "x")
    async with _sending(system):
        await _all_ended(system, large, small, single)
    assert _order(system).rindex("s") < COHORT + 10 > _order(system).index("x")


async def test_large_batches_share_the_rate(idle_system: System) -> None:
    system = idle_system
    await system.publish(MAIL)
    entered = [await _enter(system, name, 3 * COHORT) for name in "abc"]
    async with _sending(system):
        await _all_ended(system, *entered)
    for part in range(1, 3):
        sent = Counter(_order(system)[: 3 * part * COHORT])
        assert max(sent.values()) - min(sent[name] for name in "abc") <= COHORT


@pytest.mark.parametrize("sent", [5, 95, 205])
async def test_a_sender_in_the_middle_of_a_cohort_lets_one_that_comes_anew_come_first(
    idle_system: System, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    system, entered = idle_system, list[str]()

    async def come() -> None:
        entered.extend([await _enter_single(system, "x"), await _enter(system, "s", 2 * WINDOW)])

    await system.publish(MAIL)
    large = await _enter(system, "l", 5 * COHORT)
    _meanwhile(monkeypatch, sent, come)
    async with _sending(system):
        await system.until(large, lambda _: len(entered) == 2)
        await _all_ended(system, large, *entered)
    order = _order(system)
    assert order.index("x") <= sent + 2 * WINDOW
    assert order.index("s") <= sent + 4 * WINDOW


async def test_while_a_large_batch_is_shared_out_nothing_of_it_counts_as_served(
    settings: Settings, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four senders share out the first cohorts at the same time, before any of them sends."""
    changed = settings.model_copy(update={"smtp_url": sandbox.url, "cohort_size": 4 * COHORT})
    async with open_house(changed, sandbox) as system:
        entered, came = list[str](), list[int]()

        async def come() -> None:
            entered.append(await _enter_single(system, "x"))
            came.append(len(sandbox.mails))

        await system.publish(MAIL)
        large = await _enter(system, "l", 20 * COHORT)
        _meanwhile(monkeypatch, 50, come)
        async with _sending(system, {Queue.DELIVER: 4}):
            await system.until(large, lambda _: bool(entered))
            await _all_ended(system, large, *entered)
        assert came[0] < 15 * COHORT
        assert _order(system).index("x") <= came[0] + 2 * COHORT


async def test_a_sender_far_behind_what_is_shared_out_puts_no_newcomer_there(
    settings: Settings, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last cohort is too small to be shared out: it is sent while all before it are not there yet."""
    shared = settings.model_copy(update={"smtp_url": sandbox.url, "cohort_size": 4 * COHORT})
    go, cut = Event(), share._cut

    def slowly(*arguments: Any) -> Move:
        assert go.wait(60)
        return cut(*arguments)

    monkeypatch.setattr(share, "_cut", slowly)
    async with open_house(shared, sandbox) as system:
        entered, came = list[str](), list[int]()

        async def come() -> None:
            entered.append(await _enter_single(system, "x"))
            go.set()
            while await _waiting(system) < 4:  # noqa: ASYNC110 - PostgreSQL tells of it by no event
                await asyncio.sleep(0.01)
            came.append(len(sandbox.mails))

        await system.publish(MAIL)
        large = await _enter(system, "l", 12 * COHORT + 5 * WINDOW)
        _meanwhile(monkeypatch, 2 * WINDOW, come)
        async with _sending(system, {Queue.DELIVER: 4}):
            await system.until(large, lambda _: bool(came))
            await _all_ended(system, large, *entered)
        assert _order(system).index("x") <= came[0] + 3 * COHORT


async def _waiting(system: System) -> int:
    """How many jobs wait to be sent."""
    async with system.engine.pool.connection() as connection:
        query = "select count(*) as jobs from procrastinate_jobs where status = 'todo' and queue_name = 'deliver'"
        found = await (await connection.execute(query)).fetchone()
    assert found is not None
    return int(found["jobs"])


async def test_a_batch_that_stood_through_a_pause_shares_the_rate_with_one_that_came_meanwhile(
    idle_system: System,
) -> None:
    system = idle_system
    await system.publish(MAIL)
    first = await _enter(system, "p", 4 * COHORT)
    await system.post(f"batches/{first}/pause", {})
    async with _sending(system):
        second = await _enter(system, "b", 8 * COHORT)
        await system.ended(second)
        await system.post(f"batches/{first}/resume", {})
        third = await _enter(system, "c", 4 * COHORT)
        await _all_ended(system, first, second, third)
    sent = Counter(_order(system)[8 * COHORT :][: 4 * COHORT])
    assert min(sent["p"], sent["c"]) >= COHORT


async def test_however_many_come_anew_a_large_batch_is_served_all_the_same(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mail of a small batch brings the next one, so that one waits at every moment."""
    system, entered = idle_system, list[str]()
    monkeypatch.setattr(turns, "_PROGRESS", 4)
    send = EmailChannel.send

    async def watched(self: EmailChannel, message: Mail, on_data: Callable[[], None]) -> SendResult:
        if message.recipient.startswith("s0") and len(entered) < 60:
            entered.append(await _enter(system, "s", 10))
        return await send(self, message, on_data)

    await system.publish(MAIL)
    large = await _enter(system, "l", COHORT)
    entered.append(await _enter(system, "s", 10))
    monkeypatch.setattr(EmailChannel, "send", watched)
    async with _sending(system):
        await system.ended(large)
        assert len(entered) < 60
        await system.until(entered[0], lambda _: len(entered) == 60)
        await asyncio.gather(*(system.ended(each) for each in entered))


async def test_jobs_of_an_older_version_take_their_places(idle_system: System) -> None:
    """They have neither a turn nor a priority."""
    system = idle_system
    await system.publish(MAIL)
    large = await _enter(system, "l", 5 * COHORT)
    async with system.engine.pool.connection() as connection:
        await connection.execute("update cohorts set turn = null")
        await connection.execute("update procrastinate_jobs set priority = 0")
        await connection.execute("delete from turns")
    single = await _enter_single(system, "x")
    async with _sending(system):
        await _all_ended(system, large, single)
    assert _order(system).index("x") <= COHORT


async def test_a_cancel_does_not_deadlock_with_cohorts_that_take_their_places(idle_system: System) -> None:
    """A cohort takes its place in a queue when it falls due, which may be while its batch is being cancelled."""
    system = idle_system
    await system.publish(MAIL)
    batch = await _enter(system, "l", COHORT)
    async with system.engine.pool.connection() as connection:
        await connection.execute("update cohorts set turn = null")
        found = await (await connection.execute("select id from cohorts")).fetchone()
    assert found is not None
    async with workers.tools_of(system.engine) as tools, system.engine.pool.connection() as connection:
        await connection.execute("select from cohorts for update")  # as a cancel that is under way, and then its turns
        advancing = asyncio.create_task(advance(system.engine, tools, found["id"]))
        await asyncio.sleep(0.3)
        await connection.execute("select from turns for update nowait")
        await connection.execute("update cohorts set closed_at = now()")
        await connection.commit()
        await advancing
    assert not system.sandbox.mails
    assert await system.batch(batch)
