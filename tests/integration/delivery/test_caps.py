"""A recipient gets no more messages on a channel than the customer's cap allows, whoever sends them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta

import pytest

from caravan.channels.replies import Stage
from caravan.channels.sandbox import Sandbox
from caravan.engine.caps import forget_counts
from caravan.settings import Settings
from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import MAIL, contacts


@pytest.fixture
async def capped(settings: Settings, sandbox: Sandbox) -> AsyncIterator[System]:
    """A system without a worker, whose mails go to the sandbox."""
    async with open_house(settings.model_copy(update={"smtp_url": sandbox.url}), sandbox) as system:
        await system.publish(MAIL)
        yield system


async def cap(system: System, most: int, period: str = "7 days", otherwise: str = "skip") -> None:
    body = {"most": most, "period": period, "otherwise": otherwise}
    answer = await system.http.put(system.path("channels/email/cap"), json=body)
    assert answer.status_code == 200, answer.text


def got(system: System) -> Counter[str]:
    return Counter(mail.recipients[0] for mail in system.sandbox.mails)


async def outcomes(system: System, batch: str) -> dict[str, int]:
    return dict((await system.ended(batch))["ledger"]["steps"][0]["outcomes"])


async def counts(system: System) -> int:
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute("select count(*) as n from capped_sends")).fetchone()
        left = await (await connection.execute("select count(*) as n from capped_windows")).fetchone()
    assert found is not None
    assert left is not None
    assert left["n"] == 0, "a window that is settled leaves nothing behind"
    return int(found["n"])


async def test_what_is_over_the_cap_is_left_out_and_counts_age(capped: System) -> None:
    await cap(capped, 2)
    async with working(capped):
        for wanted in ({"sent": 25}, {"sent": 25}, {"capped": 25}):
            assert await outcomes(capped, await capped.start(contacts(25))) == wanted
            await capped.turn(days=2)
        batch = await capped.start(contacts(30))
        assert await outcomes(capped, batch) == {"capped": 25, "sent": 5}, "others are not concerned"
        lines = await capped.lines(f"batches/{batch}/journal?outcome=capped")
        said = "the recipient has had as many messages by email as the cap allows: 2 per 7 days"
        assert {each["detail"] for each in lines} == {said}
        await capped.turn(days=1, seconds=5)
        assert await outcomes(capped, await capped.start(contacts(30))) == {"sent": 30}, "the first ones are over"
    assert set(got(capped).values()) == {2, 3}


async def test_addresses_are_compared_as_mail_systems_do_also_within_a_window(capped: System) -> None:
    await cap(capped, 1)
    names = ["Ana@Example.com", "ana@example.com", "ana@EXAMPLE.com", "bo@exämple.se", "bo@xn--exmple-cua.se"]
    file = "".join(
        f'{{"id": "{number}", "properties": {{"emailAddress": "{name}"}}}}\n' for number, name in enumerate(names)
    ).encode()
    async with working(capped):
        assert await outcomes(capped, await capped.start(file)) == {"sent": 2, "capped": 3}


async def test_several_workers_and_batches_at_once_never_exceed_the_cap(capped: System) -> None:
    """Eight batches of the same 150 recipients, by two workers of four senders each."""
    await cap(capped, 3)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(working(capped))
        batches = await asyncio.gather(*(capped.start(contacts(150)) for _ in range(8)))
        found = [await outcomes(capped, each) for each in batches]
    assert set(got(capped).values()) == {3}
    assert len(got(capped)) == 150
    assert sum(each.get("sent", 0) for each in found) == 450
    assert sum(each.get("capped", 0) for each in found) == 750
    assert await counts(capped) == 450


async def test_only_what_was_sent_counts(capped: System) -> None:
    await cap(capped, 1)
    replies = {"reply": "554 5.6.0 such content is not taken"}
    capped.sandbox._script = lambda stage, mail: replies["reply"] if stage is Stage.RCPT else None
    async with working(capped):
        assert await outcomes(capped, await capped.start(contacts(25))) == {"failed": 25}
        assert await counts(capped) == 0
        replies["reply"] = "451 4.7.1 later"
        batch = await capped.start(contacts(25))
        await capped.until(batch, lambda found: (found["waiting"] or {}).get("kind") == "retry")
        assert await counts(capped) == 0, "nor does what is to be tried again"
        replies.clear()
        capped.sandbox._script = None
        await capped.turn(minutes=10)
        assert await outcomes(capped, batch) == {"sent": 25}
        assert await counts(capped) == 25
        assert await outcomes(capped, await capped.start(contacts(25))) == {"capped": 25}


async def test_transactional_steps_neither_count_nor_are_stopped(capped: System) -> None:
    await cap(capped, 1)
    receipt = MAIL.replace("journey: 1", "journey: 2").replace("    email:", "    transactional: true\n    email:")
    await capped.publish(receipt, 2)
    async with working(capped):
        for journey, wanted in ((2, {"sent": 5}), (1, {"sent": 5}), (2, {"sent": 5}), (1, {"capped": 5})):
            assert await outcomes(capped, await capped.start(contacts(5), journey)) == wanted


async def test_what_waits_stands_until_there_is_room_and_a_change_wakes_it(capped: System) -> None:
    await cap(capped, 1, "2 days", "wait")
    async with working(capped):
        assert await outcomes(capped, await capped.start(contacts(25))) == {"sent": 25}
        batch = await capped.start(contacts(25))
        found = await capped.until(batch, lambda found: (found["waiting"] or {}).get("reason") is not None)
        assert found["waiting"]["kind"] == "wait"
        assert found["waiting"]["contacts"] == 25
        assert "as the cap allows: 1 per 2 days" in found["waitingFor"]
        await capped.turn(days=1)
        assert (await capped.batch(batch))["ledger"]["steps"][0]["standing"] == 25
        await capped.turn(days=1, seconds=30)
        assert await outcomes(capped, batch) == {"sent": 25}
        third = await capped.start(contacts(25))
        await capped.until(third, lambda found: (found["waiting"] or {}).get("reason") is not None)
        assert (await capped.http.delete(capped.path("channels/email/cap"))).status_code == 200
        assert await outcomes(capped, third) == {"sent": 25}
    assert set(got(capped).values()) == {3}


async def test_a_cap_is_of_its_customer_and_begins_to_count_when_it_is_set(capped: System) -> None:
    async with working(capped):
        assert await outcomes(capped, await capped.start(contacts(5))) == {"sent": 5}
        assert await counts(capped) == 0
        await cap(capped, 1)
        await asyncio.sleep(1.0)  # within a second
        assert await outcomes(capped, await capped.start(contacts(5))) == {"sent": 5}
        assert await outcomes(capped, await capped.start(contacts(5))) == {"capped": 5}


async def test_upkeep_forgets_what_its_cap_does_not_look_back_to(capped: System) -> None:
    await cap(capped, 5, "2 days")
    async with working(capped):
        await outcomes(capped, await capped.start(contacts(10)))
    await capped.turn(days=1)
    await forget_counts(capped.engine)
    assert await counts(capped) == 10
    await capped.turn(days=1, seconds=5)
    await forget_counts(capped.engine)
    assert await counts(capped) == 0
    await capped.http.delete(capped.path("channels/email/cap"))
    await forget_counts(capped.engine)
    async with capped.engine.pool.connection() as connection:
        assert await (await connection.execute("select from caps")).fetchone() is None


async def test_no_address_stands_among_the_counts(capped: System) -> None:
    await cap(capped, 5)
    async with working(capped):
        await outcomes(capped, await capped.start(contacts(1)))
    async with capped.engine.pool.connection() as connection:
        (found,) = await (await connection.execute("select * from capped_sends")).fetchall()
    assert len(found["recipient"]) == len(found["delivery"]) == 16
    assert b"example" not in found["recipient"]
    assert abs(found["at"] - capped.clock.now()) < timedelta(minutes=1)


@contextmanager
def worker_process(settings: Settings, sandbox: Sandbox) -> Iterator["subprocess.Popen[bytes]"]:
    """`caravan worker` as a process of its own, that is killed in the end if it still lives."""
    assert settings.database_url is not None
    own = {"DATA": str(settings.data), "DATABASE_URL": settings.database_url, "SMTP_URL": sandbox.url}
    own |= {"WINDOW_SIZE": "40", "WORKERS": "1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARAVAN_")}
    environment = kept | {f"CARAVAN_{name}": value for name, value in own.items()}
    process = subprocess.Popen([sys.executable, "-m", "caravan", "worker"], env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_kill_9_amid_capped_sending_never_exceeds_the_cap(capped: System, settings: Settings) -> None:
    """Three batches of the same recipients at once; twice a worker is killed in the middle, then another ends it."""
    sandbox = capped.sandbox
    await cap(capped, 2)
    batches = [await capped.start(contacts(200)) for _ in range(3)]
    for mails in (60, 150):
        with worker_process(settings, sandbox) as process:
            deadline = asyncio.get_running_loop().time() + 30
            while len(sandbox.mails) < mails:
                assert asyncio.get_running_loop().time() < deadline
                assert process.poll() is None
                await asyncio.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
    async with working(capped):
        found = [(await capped.ended(each, 60))["ledger"]["steps"][0]["outcomes"] for each in batches]
    total = Counter[str]()
    for each in found:
        total.update(each)
    assert max(got(capped).values()) == 2
    assert sum(total.values()) == 600
    assert set(total) <= {"sent", "capped", "unknown"}
    assert total["sent"] <= len(sandbox.mails) <= total["sent"] + total["unknown"]
    assert total["capped"] >= 200
    assert await counts(capped) == total["sent"] + total["unknown"]
