"""What replies say to all who send there: slow down, stop, and go on by themselves."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from caravan.channels.replies import Stage
from caravan.channels.sandbox import Act, Received, Sandbox
from caravan.settings import Settings
from caravan.store import relays
from caravan.store.relays import NamedRelay
from tests.integration.conftest import System, open_house, working
from tests.integration.delivery.test_providers import got, house, people, until
from tests.integration.journeys_for_tests import MAIL

BLOCKED = "550 5.7.1 Service refused, client host blocked by policy"


class Moody:
    """A relay that takes what it wants to."""

    def __init__(self, *domains: str, reply: str | None = BLOCKED, stage: Stage = Stage.RCPT) -> None:
        self.domains, self.reply, self.stage, self.well = domains, reply, stage, False
        self.refused = 0

    def __call__(self, stage: Stage, received: Received) -> str | Act | None:
        if self.well or stage is not self.stage or not received.recipients:
            return None
        if received.recipients[-1].rpartition("@")[2] not in self.domains:
            return None
        self.refused += 1
        return self.reply


async def breakers_of(system: System) -> list[tuple[str, str | None, str]]:
    email = (await system.get("channels")).json()[0]
    return [(each["relay"], each["provider"], each["state"]) for each in email["breakers"]]


async def test_a_provider_that_refuses_the_sender_is_stopped_and_the_list_is_not_burned(settings: Settings) -> None:
    relay = Moody("gmail.com")
    async with house(settings, relay, cohort_size=1_000) as system, working(system):
        batch = await system.start(people(gmail_com=200, own_biz=100))
        await until(lambda: got(system)["own.biz"] == 100)
        found = await system.until(
            batch, lambda found: "gmail by the mail relay is stopped" in (found["waitingFor"] or "")
        )
        assert "550 5.7.1 Service refused" in found["waitingFor"]
        failed = found["ledger"]["steps"][0]["outcomes"].get("failed", 0)
        assert relay.refused < 100 and failed <= relay.refused
        assert await breakers_of(system) == [("default", "gmail", "open")]
        page = (await system.http.get("/metrics")).text
        assert 'caravan_breaker_open{channel="email",provider="gmail",relay="default"} 1.0' in page
        relay.well = True
        refused = relay.refused
        await system.turn(hours=1, seconds=10)
        for _ in range(40):  # each of the ten steps is a window; others look again after two seconds
            found = await system.batch(batch)
            if found["finishedAt"] is not None:
                break
            await system.turn(seconds=6)
            await until(lambda: True)
            await _soon()
        assert await breakers_of(system) == []
        found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 300 - refused, "failed": refused}
    assert sum(got(system).values()) == 300 - refused


async def _soon() -> None:
    import asyncio

    await asyncio.sleep(0.3)


async def test_a_reply_slows_a_provider_down_for_its_time(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "replies.yaml"
    file.write_text(
        "- {code: 451, text: too fast, provider: gmail, result: retry, slow: {rate: 36/h, connections: 1, for: 1h}}\n"
    )
    relay = Moody("gmail.com", reply="451 4.7.0 You are Too Fast")
    async with house(settings, relay, replies=file) as system, working(system):
        batch = await system.start(people(gmail_com=50, office_biz=50))
        await until(lambda: got(system)["office.biz"] == 50)
        found = await system.until(
            batch, lambda found: "gmail by relay default is slowed down" in (found["waitingFor"] or "")
        )
        assert "36 an hour" in found["waitingFor"] or "0.01 a second" in found["waitingFor"]
        assert "You are Too Fast" in found["waitingFor"]
        email = (await system.get("channels")).json()[0]
        (slow,) = email["routes"]
        assert (slow["provider"], slow["kind"], slow["connections"]) == ("gmail", "slow", 1)
        assert slow["reason"].endswith("You are Too Fast") and slow["until"] is not None
        assert (await system.post(f"batches/{batch}/cancel", {})).status_code == 200
        found = await system.until(batch, lambda found: found["ledger"]["steps"][0]["standing"] == 0)
    outcomes = found["ledger"]["steps"][0]["outcomes"]
    assert outcomes["sent"] == 50 and outcomes["cancelled"] == 50


async def test_a_relay_that_is_away_opens_its_breaker_for_all_and_closes_by_itself(settings: Settings) -> None:
    async with house(settings, window_size=10, cohort_size=60) as system:
        port = int(system.sandbox.url.rpartition(":")[2])
        await system.sandbox.__aexit__(None, None, None)
        async with working(system):
            batch = await system.start(people(own_biz=300))
            await system.until(
                batch, lambda found: "the mail relay is stopped: Connection refused" in (found["waitingFor"] or "")
            )
            assert await breakers_of(system) == [("default", None, "open")]
            connections = list[int]()

            def count(stage: Stage, received: Received) -> None:
                if stage is Stage.CONTENT:
                    connections.append(back.connections)

            async with Sandbox(port=port, script=count) as back:
                system.sandbox = back
                for _ in range(60):
                    found = await system.batch(batch)
                    if found["finishedAt"] is not None:
                        break
                    await system.turn(seconds=8)
                    await _soon()
                assert await breakers_of(system) == []
                assert got(system) == {"own.biz": 300}
                assert connections[0] == 1 and max(connections[:6]) <= 3
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 300}


async def test_an_address_that_does_not_exist_is_suppressed(settings: Settings) -> None:
    relay = Moody("own.biz", reply="550 5.1.1 no such user")
    async with house(settings, relay) as system, working(system):
        await system.ended(await system.start(people(own_biz=2)))
        listed = (await system.get("suppressions")).json()
        assert {(each["address"], each["reason"], each["source"]) for each in listed} == {
            (f"c{number}@own.biz", "hard_bounce", "email:refused") for number in range(2)
        }
        found = await system.ended(await system.start(people(own_biz=2)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"suppressed": 2}


def named(journey: int, relay: str = "marketing") -> str:
    """A journey that sends by a relay."""
    text = MAIL.replace("    email:\n", f"    email:\n      relay: {relay}\n")
    return text.replace("journey: 1", f"journey: {journey}")


@asynccontextmanager
async def with_relay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, **more: object
) -> AsyncIterator[tuple[System, Sandbox]]:
    """A system whose customers may send by a relay `marketing`."""
    async with house(settings) as system, Sandbox() as other:
        monkeypatch.setenv("MARKETING", f"{other.url}?tls=none")
        async with system.engine.pool.connection() as connection:
            relay = NamedRelay(None, "marketing", "env:MARKETING", 0, "default")
            await relays.add(connection, relay, system.clock.now())
        yield system, other


async def test_a_step_sends_by_the_relay_that_it_names(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with with_relay(settings, monkeypatch) as (system, other), working(system):
        await system.publish(named(2), 2)
        await system.ended(await system.start(people(own_biz=5), 2))
        await system.ended(await system.start(people(own_biz=7), 1))
        assert (len(other.mails), len(system.sandbox.mails)) == (5, 7)
        (email, *_) = (await system.get("channels")).json()
        assert email["relays"] == [
            {"name": "marketing", "allCustomers": True, "weight": 0, "fallback": "default"},
        ]
        assert "MARKETING" not in json.dumps(email)


async def test_while_a_relay_is_stopped_another_stands_in_for_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with with_relay(settings, monkeypatch) as (system, other), working(system):
        await system.publish(named(2), 2)
        await other.__aexit__(None, None, None)
        batch = await system.start(people(own_biz=60), 2)
        for _ in range(60):
            found = await system.batch(batch)
            if found["finishedAt"] is not None:
                break
            await system.turn(seconds=4)
            await _soon()
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 60}
    assert got(system) == {"own.biz": 60}


async def test_a_relay_that_there_is_not_or_has_no_url_holds_its_contacts_and_says_why(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with with_relay(settings, monkeypatch) as (system, other), working(system):
        monkeypatch.delenv("MARKETING")
        await system.publish(named(2), 2)
        await system.publish(named(3, "sales"), 3)
        two, three = await system.start(people(own_biz=1), 2), await system.start(people(own_biz=1), 3)
        await system.until(two, lambda found: "the environment has no MARKETING" in (found["waitingFor"] or ""))
        words = "no relay 'sales' for this customer; there are default, marketing"
        await system.until(three, lambda found: words in (found["waitingFor"] or ""))
        assert not other.mails


@pytest.mark.parametrize("name", ["Marketing", "a b", "x" * 40, "-a", ""])
async def test_a_journey_names_relays_as_they_can_be_called(settings: Settings, sandbox: Sandbox, name: str) -> None:
    async with open_house(settings, sandbox) as system:
        answer = await system.http.put(system.path("journeys/1"), content=named(1, repr(name)))
        assert answer.status_code == 422 and "email.relay" in answer.text
