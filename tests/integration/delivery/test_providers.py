"""Mails to a provider keep to its pace, and those to all others go on."""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from caravan.channels.replies import Stage
from caravan.channels.sandbox import Received, Sandbox, Script
from caravan.engine.paces import set_limits
from caravan.settings import Settings
from caravan.store.paces import Limits
from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import MAIL
from tests.nameserver import Zone, nameserver

ZONE: Zone = {
    ("firm.biz", "MX"): ["10 aspmx.l.google.com.", "20 backup.firm.biz."],
    ("office.biz", "MX"): ["10 office-biz.mail.protection.outlook.com."],
    ("own.biz", "MX"): ["10 mx.own.biz."],
}


def people(**counts: int) -> bytes:
    """Contacts by domain (`_` for the dot), in turn."""
    domains = {name.replace("_", "."): count for name, count in counts.items()}
    rows = [
        f'{{"id": "{domain}-{number}", "properties": {{"emailAddress": "c{number}@{domain}"}}}}'
        for number in range(max(domains.values()))
        for domain, count in domains.items()
        if number < count
    ]
    return "\n".join(rows).encode()


@asynccontextmanager
async def house(settings: Settings, script: Script | None = None, **changes: object) -> AsyncIterator[System]:
    """A system without a worker, with a relay and a nameserver."""
    async with Sandbox(script=script) as sandbox, nameserver(ZONE) as dns:
        values = {"smtp_url": sandbox.url, "nameserver": dns.address, "window_size": 20, **changes}
        async with open_house(settings.model_copy(update=values), sandbox) as system:
            await system.publish(MAIL)
            yield system


def got(system: System) -> Counter[str]:
    """How many mails came, by domain."""
    return Counter(mail.recipients[0].rpartition("@")[2] for mail in system.sandbox.mails)


async def until(reached: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def rate(system: System, path: str, **body: object) -> list[dict]:  # type: ignore[type-arg]
    answer = await system.http.put(system.path(f"channels/email/{path}/rate"), json=body)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_paced_provider_keeps_to_its_pace_and_holds_nobody_else(settings: Settings, workers: int) -> None:
    async with house(settings, cohort_size=1_000) as system, AsyncExitStack() as stack:
        await rate(system, "providers/gmail", perSecond=20)
        for _ in range(workers):
            await stack.enter_async_context(working(system))
        begun = time.monotonic()
        batch = await system.start(people(firm_biz=150, gmail_com=1_000, office_biz=200, own_biz=200))
        await until(lambda: got(system)["own.biz"] + got(system)["office.biz"] == 400)
        assert _gmail(system) <= 20 * (time.monotonic() - begun + 1) < 1_000, "nobody else waited for these"
        before, since = _gmail(system), time.monotonic()
        await asyncio.sleep(5)
        came, seconds = _gmail(system) - before, time.monotonic() - since
        assert 20 * seconds * 0.5 <= came <= 20 * (seconds * 1.05 + 1), (came, seconds)
        found = await system.batch(batch)
        assert found["ledger"]["steps"][0]["standing"] > 0
        assert "gmail is paced at 20 a second" in found["waitingFor"]
        await rate(system, "providers/gmail", perSecond=5_000)
        found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 1_550}
    assert got(system) == {"firm.biz": 150, "gmail.com": 1_000, "office.biz": 200, "own.biz": 200}


def _gmail(system: System) -> int:
    return got(system)["firm.biz"] + got(system)["gmail.com"]


async def test_a_pace_that_is_set_in_the_middle_of_a_cohort_sorts_who_is_left(settings: Settings) -> None:
    async with house(settings, cohort_size=1_000, window_size=5) as system, working(system):
        await rate(system, "relays/default", perSecond=30)
        batch = await system.start(people(gmail_com=40, own_biz=40))
        await until(lambda: len(system.sandbox.mails) >= 8)
        await rate(system, "providers/gmail", perSecond=0.01)
        await system.until(batch, lambda found: "gmail is paced at 0.01 a second" in (found["waitingFor"] or ""))
        assert (await system.http.delete(system.path("channels/email/relays/default/rate"))).status_code == 200
        await until(lambda: got(system)["own.biz"] == 40)
        held = got(system)["gmail.com"]
        assert held < 40
        found = await system.batch(batch)
        assert found["waiting"]["contacts"] >= 40 - held - 1
        (email, *_) = (await system.get("channels")).json()
        assert [(each["provider"], each["kind"]) for each in email["routes"]] == [("gmail", "set")]
        assert email["routes"][0]["standing"] >= 40 - held - 1
        assert (await system.http.delete(system.path("channels/email/providers/gmail/rate"))).status_code == 200
        found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 80}
    assert got(system) == {"gmail.com": 40, "own.biz": 40}


async def test_rates_of_the_operators_file_hold_until_another_is_set(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "providers.yaml"
    file.write_text("gmail: {rate: 36/h}\nown: {mx: [own.biz], rate: 1000/s}\n")
    async with house(settings, providers=file) as system, working(system):
        batch = await system.start(people(gmail_com=5, own_biz=5, office_biz=5))
        found = await system.until(
            batch, lambda found: "gmail is paced at 0.01 a second" in (found["waitingFor"] or "")
        )
        await until(lambda: len(system.sandbox.mails) == 11)
        (email, *_) = await rate(system, "providers/gmail", perSecond=1_000)  # the customer's own: both are kept
        assert [(each["provider"], each["kind"]) for each in email["routes"]][:2] == [
            ("gmail", "rules"),
            ("gmail", "set"),
        ]
        async with system.engine.pool.connection() as connection:
            await set_limits(system.engine, connection, None, "email", Limits(per_second=1_000), provider="gmail")
        found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 15}


async def test_a_dns_that_does_not_answer_stops_no_mail(settings: Settings) -> None:
    async with house(settings) as system, working(system):
        await rate(system, "providers/gmail", perSecond=1_000)
        found = await system.ended(await system.start(people(a_broken=10, nowhere_biz=10)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 20}


async def test_the_connections_and_the_mails_of_a_provider_are_kept_to(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "providers.yaml"
    file.write_text("gmail: {connections: 2, mails: 10}\n")
    async with house(settings, providers=file) as system, working(system):
        found = await system.ended(await system.start(people(gmail_com=95)))
        assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 95}
        assert 10 <= system.sandbox.connections <= 12


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("channels/email/providers/gmial/rate", "There is no provider 'gmial'; there are gmail, microsoft"),
        ("channels/webhook/providers/gmail/rate", "webhook has neither relays nor providers"),
        ("channels/email/relays/other/rate", "There is no relay 'other'; there are default"),
        ("channels/email/providers/%0d%0ax/rate", "There is no provider"),
    ],
)
async def test_what_there_is_not_has_no_pace(settings: Settings, path: str, words: str) -> None:
    async with house(settings) as system:
        answer = await system.http.put(system.path(path), json={"perSecond": 1})
        assert answer.status_code == 400
        assert words in answer.json()["detail"]


async def test_a_kill_9_of_a_paced_sender_repeats_nothing_and_the_rate_is_not_exceeded_after_it(
    settings: Settings, folder: Path
) -> None:
    times = list[float]()  # when mails to the paced provider came

    def script(stage: Stage, received: Received) -> str | None:
        if stage is Stage.CONTENT and received.recipients[0].endswith("@gmail.com"):
            times.append(time.monotonic())
        return None

    async with house(settings, script, cohort_size=1_000, data=folder) as system:
        await rate(system, "providers/gmail", perSecond=40)
        batch = await system.start(people(gmail_com=400, own_biz=50))
        first = await worker(system, folder)
        await until(lambda: _gmail(system) >= 30)
        first.kill()
        await first.wait()
        killed = len(times)
        second = await worker(system, folder)
        await until(lambda: len(times) > killed + 240)
        seconds = times[killed + 240] - times[killed]
        await rate(system, "providers/gmail", perSecond=5_000)
        found = await system.ended(batch)
        lines = await system.lines(f"batches/{batch}/journal")
        second.terminate()
        await second.wait()
    assert seconds > 240 / 40 * 0.9 - 3, seconds  # unpaced they take less than one; this machine may stand still for 3
    outcomes = Counter(found["ledger"]["steps"][0]["outcomes"])
    assert outcomes["sent"] + outcomes["unknown"] == 450 and outcomes["unknown"] <= 40
    recipients = Counter(mail.recipients[0] for mail in system.sandbox.mails)
    assert max(recipients.values()) == 1
    unknown = {line["contact"] for line in lines if line["outcome"] == "unknown"}
    assert 450 - len(recipients) <= len(unknown)


async def worker(system: System, folder: Path) -> asyncio.subprocess.Process:
    """A worker in a process of its own."""
    told = system.engine.settings
    environment = {
        **os.environ,
        "CARAVAN_DATA": str(folder),
        "CARAVAN_DATABASE_URL": str(told.database_url),
        "CARAVAN_SMTP_URL": str(told.smtp_url),
        "CARAVAN_NAMESERVER": str(told.nameserver),
        "CARAVAN_WINDOW_SIZE": str(told.window_size),
        "CARAVAN_WORKERS": "1",
    }
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "caravan", "worker", env=environment)
