"""A large cohort is shared out, so that each sender has a part in it and nobody is in two of them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from caravan.channels.mail import Mail
from caravan.delivery.result import Result, SendResult
from caravan.engine import reading
from caravan.engine import worker as workers
from caravan.engine.advance import advance
from caravan.store.files import LocalFiles
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import MAIL, contacts

ALL = Counter({f"c{number}@example.com": 1 for number in range(40)})


class Noting:
    """A channel that sends to everyone and notes to whom."""

    def __init__(self) -> None:
        self.got = Counter[str]()

    async def __aenter__(self) -> "Noting":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, message: Mail, on_data: Callable[[], None] | None = None) -> SendResult:
        assert on_data is not None
        on_data()
        self.got[message.recipient] += 1
        return SendResult(Result.SENT, "250 OK")


class Interrupted(LocalFiles):
    """A store that is about to get its first file when the batch is cancelled."""

    def __init__(self, system: System, batch: str) -> None:
        super().__init__(system.engine.settings.folder / "files")
        self.system, self.batch, self.loop = system, batch, asyncio.get_running_loop()

    def put(self, local: Path, name: str) -> None:
        asyncio.run_coroutine_threadsafe(self.system.post(f"batches/{self.batch}/cancel", {}), self.loop).result()
        super().put(local, name)


async def _enter(system: System) -> str:
    """A batch that is read and stands at its mail, as one cohort."""
    await system.publish(MAIL)
    batch = await system.start(contacts(40))
    await reading.read(system.engine, batch, asyncio.Event())
    assert len(await _standing(system)) == 1
    return batch


async def _standing(system: System) -> list[int]:
    """The cohorts that stand."""
    async with system.engine.pool.connection() as connection:
        found = await connection.execute("select id from cohorts where closed_at is null order by id")
        return [int(each["id"]) for each in await found.fetchall()]


async def test_two_senders_have_a_part_in_one_cohort(idle_system: System) -> None:
    system, one, other = idle_system, Noting(), Noting()
    batch = await _enter(system)
    async with workers.tools_of(system.engine) as tools:
        shared = replace(tools, channels={"email": one}, pacing=replace(tools.pacing, share_windows=1))
        await advance(system.engine, shared, *await _standing(system))
        standing = await _standing(system)
        assert len(standing) == 4  # of one window each
        assert (await system.batch(batch))["ledger"]["steps"] == [
            {"step": "mail", "arrived": 40, "standing": 40, "outcomes": {}}
        ]
        turns = [shared, replace(shared, channels={"email": other})] * 2
        await asyncio.gather(
            *(advance(system.engine, each, cohort) for each, cohort in zip(turns, standing, strict=True))
        )
    assert (one.got.total(), other.got.total()) == (20, 20)
    assert one.got + other.got == ALL
    found = await system.batch(batch)
    assert found["state"] == "completed"
    assert found["ledger"]["steps"] == [{"step": "mail", "arrived": 40, "standing": 0, "outcomes": {"sent": 40}}]
    journal = await system.lines(f"batches/{batch}/journal")
    assert Counter(line["contact"] for line in journal) == Counter(str(number) for number in range(40))


async def test_shares_have_jobs_of_their_own(idle_system: System) -> None:
    system = idle_system
    batch = await _enter(system)
    async with workers.tools_of(system.engine) as tools:
        shared = replace(tools, pacing=replace(tools.pacing, share_windows=1))
        await advance(system.engine, shared, *await _standing(system))
    async with working(system):
        assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 40}
    assert Counter(mail.recipients[0] for mail in system.sandbox.mails) == ALL


async def test_a_cancel_meanwhile_recalls_everyone(idle_system: System) -> None:
    system = idle_system
    batch = await _enter(system)
    async with workers.tools_of(system.engine) as tools:
        shared = replace(tools, files=Interrupted(system, batch), pacing=replace(tools.pacing, share_windows=1))
        await advance(system.engine, shared, *await _standing(system))
    assert not await _standing(system)
    found = await system.batch(batch)
    assert found["ledger"]["steps"] == [{"step": "mail", "arrived": 40, "standing": 0, "outcomes": {"cancelled": 40}}]
    journal = await system.lines(f"batches/{batch}/journal?outcome=cancelled")
    assert Counter(line["contact"] for line in journal) == Counter(str(number) for number in range(40))
