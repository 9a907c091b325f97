"""The database goes away while a window is in a sender's hands: what was sent is known, and stays known."""

from collections import Counter
from typing import Any

import psycopg
import pytest

from caravan.engine import worker as workers
from caravan.engine.advance import advance
from caravan.store.windows import Windows
from tests.integration.conftest import System
from tests.integration.delivery.test_silent_sender import _enter, _standing


class Away:
    """The database goes away for some calls, before or after it did what it was asked for."""

    def __init__(self, real: Any, calls: int, *, done: bool) -> None:
        self.real, self.left, self.done = real, calls, done

    def patch(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        away = self

        async def call(self: Windows, *arguments: Any) -> Any:
            if away.left and (name == "settle" or len(arguments) > 3):
                away.left -= 1
                if away.done:
                    await away.real(self, *arguments)
                raise psycopg.OperationalError("the server closed the connection unexpectedly")
            return await away.real(self, *arguments)

        monkeypatch.setattr(Windows, name, call)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caravan.delivery.insist.ASK_EVERY", 0.02)


@pytest.mark.parametrize("name", ["take", "settle"])
@pytest.mark.parametrize("done", [False, True])
async def test_a_window_is_settled_as_soon_as_the_database_is_back(
    idle_system: System, monkeypatch: pytest.MonkeyPatch, name: str, done: bool
) -> None:
    system = idle_system
    await _enter(system, 30)
    away = Away(getattr(Windows, name), 3, done=done)
    away.patch(monkeypatch, name)
    async with workers.tools_of(system.engine) as tools:
        await advance(system.engine, tools, await _standing(system))
    assert away.left == 0
    got = Counter(mail.recipients[0] for mail in system.sandbox.mails)
    assert got == Counter({f"c{number}@example.com": 1 for number in range(30)})
    batch = (await system.get("batches")).json()[0]
    assert batch["ledger"]["steps"][0]["outcomes"] == {"sent": 30}


_FULL = """do $$ begin raise exception using errcode = 'disk_full',
    message = 'could not extend file "base/5/16705": No space left on device'; end $$"""


async def test_while_postgres_has_no_room_for_what_was_sent_the_batch_says_so(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, settle, said = idle_system, Windows.settle, list[str | None]()

    async def full(self: Windows, *arguments: Any) -> None:
        said.append((await system.get("batches")).json()[0]["waitingFor"])
        if len(said) < 4:
            async with system.engine.pool.connection() as connection:
                await connection.execute(_FULL)
        await settle(self, *arguments)

    monkeypatch.setattr(Windows, "settle", full)
    await _enter(system, 10)
    async with workers.tools_of(system.engine) as tools:
        await advance(system.engine, tools, await _standing(system))
    reason = "PostgreSQL can't note what was sent, and is asked again and again: No space left on device."
    assert said == [None, reason, reason, reason]
    batch = (await system.get("batches")).json()[0]
    assert (batch["state"], batch["waitingFor"]) == ("completed", None)
    assert len(system.sandbox.mails) == 10


async def test_a_worker_that_stops_does_not_wait_for_the_database(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this machine the trace tells who was reached."""
    system = idle_system
    await _enter(system, 10)
    away = Away(Windows.settle, 1_000_000, done=False)
    async with workers.tools_of(system.engine) as tools:
        with monkeypatch.context() as broken:
            broken.setattr(system.sandbox, "_script", lambda *_: tools.stopping.set())
            away.patch(broken, "settle")
            with pytest.raises(psycopg.OperationalError):
                await advance(system.engine, tools, await _standing(system))
    async with workers.tools_of(system.engine) as tools:
        # First what the other one left, then those whom it held back, if there are any.
        while (await system.get("batches")).json()[0]["state"] == "running":
            await advance(system.engine, tools, await _standing(system))
    got = Counter(mail.recipients[0] for mail in system.sandbox.mails)
    assert got == Counter({f"c{number}@example.com": 1 for number in range(10)})
