"""A sender that was taken for dead and is not."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from caravan.channels.mail import Mail
from caravan.delivery.result import Result, SendResult
from caravan.delivery.tools import DeliveryTools
from caravan.engine import reading
from caravan.engine import worker as workers
from caravan.engine.advance import advance
from caravan.store.windows import Windows
from tests.integration.conftest import System, working
from tests.integration.engine.fuse import Crash
from tests.integration.journeys_for_tests import MAIL, contacts


class Standing:
    """A channel whose process stands still before each of its mails, until it is let go."""

    def __init__(self, got: Counter[str]) -> None:
        self.got, self.reached, self.free = got, asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> "Standing":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, message: Mail, on_data: Callable[[], None] | None = None) -> SendResult:
        self.reached.set()
        await self.free.wait()
        assert on_data is not None
        on_data()
        self.got[message.recipient] += 1
        return SendResult(Result.SENT, "250 OK")


async def _enter(system: System, count: int = 10) -> str:
    await system.publish(MAIL)
    batch = await system.start(contacts(count))
    await reading.read(system.engine, batch, asyncio.Event())
    return batch


async def _standing(system: System) -> int:
    """The cohort that stands."""
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute("select id from cohorts where closed_at is null")).fetchone()
    assert found is not None
    return int(found["id"])


def _with(tools: DeliveryTools, channel: Standing) -> DeliveryTools:
    return replace(tools, channels={"email": channel}, pacing=replace(tools.pacing, lease=0.2))


async def test_a_sender_that_wakes_up_after_it_was_replaced_sends_nothing_beside_its_successor(
    idle_system: System,
) -> None:
    system, got = idle_system, Counter[str]()
    await _enter(system)
    silent, successor = Standing(got), Standing(got)
    successor.free.set()
    async with workers.tools_of(system.engine) as tools:
        first = asyncio.create_task(advance(system.engine, _with(tools, silent), await _standing(system)))
        await silent.reached.wait()
        for _ in range(2):  # the successor settles what was in the air, then it sends to those who got nothing
            await advance(system.engine, _with(tools, successor), await _standing(system))
        silent.free.set()
        await first
    assert got == Counter({f"c{number}@example.com": 1 for number in range(10)})


class Deadly(Standing):
    """A channel whose process dies once it has sent so many mails."""

    def __init__(self, got: Counter[str], mails: int) -> None:
        super().__init__(got)
        self.free.set()
        self._mails = mails

    async def send(self, message: Mail, on_data: Callable[[], None] | None = None) -> SendResult:
        if self.got.total() == self._mails:
            raise Crash
        return await super().send(message, on_data)


async def test_a_trace_of_one_who_died_before_it_took_the_window_says_nothing_of_who_took_it_then(
    idle_system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that nobody was sent to. But another machine took the window, sent to some, and died as well."""
    system, got = idle_system, Counter[str]()
    batch = await _enter(system)

    async def die(*_: object, **__: object) -> None:
        raise Crash

    async with workers.tools_of(system.engine) as tools:
        with monkeypatch.context() as patched, pytest.raises(Crash):
            patched.setattr(Windows, "take", die)
            await advance(system.engine, _with(tools, Standing(got)), await _standing(system))
        elsewhere = replace(_with(tools, Deadly(got, 4)), traces=tmp_path / "elsewhere")
        with pytest.raises(Crash):
            await advance(system.engine, elsewhere, await _standing(system))
    assert got.total() == 4
    async with working(system):
        found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"unknown": 10}
    assert system.sandbox.mails == []
