"""The database goes away while a window is in a sender's hands: what was sent is known, and stays known."""

from collections import Counter
from typing import Any

import psycopg
import pytest
from tests.integration.engine.test_silent_sender import _enter, _standing

from caravan.engine import worker as workers
from caravan.engine.advance import advance
from caravan.store.windows import Windows
from tests.integration.conftest import House


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
    monkeypatch.setattr("caravan.delivery.deliver._ASK_EVERY", 0.02)


@pytest.mark.parametrize("name", ["take", "settle"])
@pytest.mark.parametrize("done", [False, True])
async def test_a_window_is_settled_as_soon_as_the_database_is_back(
    idle_house: House, monkeypatch: pytest.MonkeyPatch, name: str, done: bool
) -> None:
    house = idle_house
    await _enter(house, 30)
    away = Away(getattr(Windows, name), 3, done=done)
    away.patch(monkeypatch, name)
    async with workers.tools_of(house.engine) as tools:
        await advance(house.engine, tools, await _standing(house))
    assert away.left == 0
    got = Counter(mail.recipients[0] for mail in house.sandbox.mails)
    assert got == Counter({f"c{number}@example.com": 1 for number in range(30)})
    batch = (await house.get("batches")).json()[0]
    assert batch["ledger"]["steps"][0]["outcomes"] == {"sent": 30}


_FULL = """do $$ begin raise exception using errcode = 'disk_full',
    message = 'could not extend file "base/5/16705": No space left on device'; end $$"""


async def test_while_postgres_has_no_room_for_what_was_sent_the_batch_says_so(
    idle_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, settle, said = idle_house, Windows.settle, list[str | None]()

    async def full(self: Windows, *arguments: Any) -> None:
        said.append((await house.get("batches")).json()[0]["waitingFor"])
        if len(said) < 4:
            async with house.engine.pool.connection() as connection:
                await connection.execute(_FULL)
        await settle(self, *arguments)

    monkeypatch.setattr(Windows, "settle", full)
    await _enter(house, 10)
    async with workers.tools_of(house.engine) as tools:
        await advance(house.engine, tools, await _standing(house))
    reason = "PostgreSQL can't note what was sent, and is asked again and again: No space left on device."
    assert said == [None, reason, reason, reason]
    batch = (await house.get("batches")).json()[0]
    assert (batch["state"], batch["waitingFor"]) == ("completed", None)
    assert len(house.sandbox.mails) == 10


async def test_a_worker_that_stops_does_not_wait_for_the_database(
    idle_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this machine the trace tells who was reached."""
    house = idle_house
    await _enter(house, 10)
    away = Away(Windows.settle, 1_000_000, done=False)
    async with workers.tools_of(house.engine) as tools:
        with monkeypatch.context() as broken:
            broken.setattr(house.sandbox, "_script", lambda *_: tools.stopping.set())
            away.patch(broken, "settle")
            with pytest.raises(psycopg.OperationalError):
                await advance(house.engine, tools, await _standing(house))
    async with workers.tools_of(house.engine) as tools:
        # First what the other one left, then those whom it held back, if there are any.
        while (await house.get("batches")).json()[0]["state"] == "running":
            await advance(house.engine, tools, await _standing(house))
    got = Counter(mail.recipients[0] for mail in house.sandbox.mails)
    assert got == Counter({f"c{number}@example.com": 1 for number in range(10)})
