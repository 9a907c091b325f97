"""What is asked of batches: why they wait, where a contact is, and one poller for all who watch."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from caravan.channels.sandbox import Sandbox
from caravan.queries.watch import Watches
from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import MAIL, WAIT, contacts


def _lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def _without_relay(system: System) -> int:
    """Take the relay away; the port at which it can come back."""
    port = int(system.sandbox.url.rpartition(":")[2])
    await system.sandbox.__aexit__(None, None, None)
    return port


async def test_a_wait_for_events_names_them_and_its_end(system: System) -> None:
    await system.publish(
        "journey: 1\nname: Bought\nsteps:\n  - id: bought\n    wait_for:\n      any:\n"
        "        - {event: purchase, if: total > 100, to: big}\n        - {event: purchase, to: out}\n"
        "        - {event: cart.left, to: out}\n      timeout: 2 days\n"
        "  - {id: big, wait: 1 day}\n  - {id: out, exit: {}}\n"
    )
    batch = await system.start(contacts(7))
    found = await system.until(batch, lambda b: b["waiting"] is not None and b["waiting"]["kind"] == "wait")
    assert found["waiting"]["reason"] == "for the event cart.left or purchase"
    assert found["waitingFor"].startswith("7 contacts at bought are waiting for cart.left or purchase, until 20")
    assert (await system.post("events", {"id": "3", "event": "purchase", "properties": {"total": 500}})).is_success
    found = await system.until(batch, lambda b: "6 contacts at bought are waiting for" in (b["waitingFor"] or ""))
    assert "1 contact at big is waiting until 20" in found["waitingFor"]


async def test_a_wait_is_told_as_a_value_and_as_a_sentence(system: System) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(7))
    found = await system.until(batch, lambda b: b["waiting"] is not None and b["waiting"]["kind"] == "wait")
    assert (found["waiting"]["contacts"], found["waiting"]["remedy"], found["stuck"]) == (7, None, 0)
    assert found["waiting"]["until"] is not None
    assert found["waitingFor"].startswith(f"7 contacts at {found['waiting']['step']} are waiting until ")


async def test_a_pause_names_its_remedy(system: System) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(1))
    await system.until(batch, lambda b: b["state"] == "running")
    found = (await system.post(f"batches/{batch}/pause", {})).json()
    assert (found["waiting"]["kind"], found["waiting"]["remedy"]) == ("paused", "resume")


async def test_due_contacts_that_no_worker_takes_are_told_to_be_in_line(idle_system: System) -> None:
    await idle_system.publish(MAIL)
    async with working(idle_system):
        await idle_system.publish(WAIT, journey=1)
        batch = await idle_system.start(contacts(3))
        await idle_system.until(batch, lambda b: b["state"] == "running")
    await idle_system.turn(days=4)
    found = await idle_system.batch(batch)
    assert (found["waiting"]["kind"], found["waiting"]["contacts"]) == ("queued", 3)
    assert "in line for a worker" in found["waitingFor"]


async def test_a_contact_is_found_where_it_stands_and_where_it_is_retried(idle_system: System) -> None:
    system = idle_system
    port = await _without_relay(system)
    async with working(system):
        await system.publish(MAIL)
        batch = await system.start(contacts(30))
        await system.until(batch, lambda b: b["waiting"] is not None and b["waiting"]["kind"] == "retry")
        [told] = _lines(await system.get(f"batches/{batch}/journal?contact=3"))
        assert (told["step"], told["outcome"]) == ("mail", "retrying")
        assert told["detail"].startswith("1 attempt so far, the next at ")
        assert len(_lines(await system.get(f"batches/{batch}/journal?outcome=retrying"))) == 30
        assert _lines(await system.get(f"batches/{batch}/journal?outcome=standing")) == []
        async with Sandbox(port=port):
            await system.turn(minutes=10)
            await system.ended(batch)
        [told] = _lines(await system.get(f"batches/{batch}/journal?contact=3&step=mail"))
        assert told["outcome"] == "sent"


async def test_giving_up_fails_those_who_are_only_retried_and_lets_them_go_on(idle_system: System) -> None:
    system = idle_system
    await _without_relay(system)
    async with working(system):
        await system.publish(MAIL)
        batch = await system.start(contacts(30))
        await system.until(batch, lambda b: b["waiting"] is not None and b["waiting"]["kind"] == "retry")
        answer = await system.post(f"batches/{batch}/give-up", {})
        assert answer.status_code == 200, answer.text
        found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"failed": 30}
    told = _lines(await system.get(f"batches/{batch}/journal?step=mail"))
    assert all(each["detail"].startswith("given up by command: ") for each in told)
    assert len(told) == 30
    assert (await system.post(f"batches/{batch}/give-up", {})).status_code == 409


async def test_giving_up_touches_none_that_only_wait(system: System) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(4))
    await system.until(batch, lambda b: b["waiting"] is not None and b["waiting"]["kind"] == "wait")
    found = (await system.post(f"batches/{batch}/give-up", {})).json()
    assert found["waiting"]["contacts"] == 4


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("journal?outcome=snet", "did you mean sent?"),
        ("journal?step=mial", "did you mean mail?"),
        ("journal?outcom=sent", "did you mean outcome?"),
        ("journal?version=1", "There is no parameter 'version' here"),
        ("rejects?kode=not_json", "did you mean code?"),
    ],
)
async def test_a_misspelt_query_is_refused_with_the_good_ones(system: System, query: str, said: str) -> None:
    await system.publish(MAIL)
    batch = await system.start(contacts(1))
    await system.ended(batch)
    answer = await system.get(f"batches/{batch}/{query}")
    assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text


async def test_batches_are_listed_by_state_and_journey(system: System) -> None:
    await system.publish(MAIL)
    await system.publish(WAIT.replace("journey: 1", "journey: 2"), journey=2)
    done = await system.start(contacts(1))
    await system.ended(done)
    waiting = await system.start(contacts(1), journey=2)
    await system.until(waiting, lambda b: b["state"] == "running")

    async def listed(query: str) -> list[str]:
        return [each["id"] for each in (await system.get(f"batches?{query}")).json()]

    assert await listed("state=completed") == [done]
    assert await listed("state=running&state=paused") == [waiting]
    assert await listed("journey=2") == [waiting]
    assert set(await listed("state=running&state=completed")) == {done, waiting}
    assert (await system.get("batches?state=runing")).status_code == 400


async def test_one_poller_feeds_all_who_watch_a_batch_and_stops_with_the_last(system: System) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(2))
    watches = Watches(system.engine, every=0.05)
    streams = [watches.follow(system.customer, batch) for _ in range(20)]
    first = await asyncio.gather(*(anext(each) for each in streams))
    assert watches.pollers == 1
    assert {each.report.batch.id for each in first} == {batch}
    for each in streams[1:]:
        await each.aclose()
    assert watches.pollers == 1
    await streams[0].aclose()
    assert watches.pollers == 0


async def test_whoever_watches_sees_the_end_also_when_coming_late(system: System) -> None:
    await system.publish(MAIL)
    batch = await system.start(contacts(2))
    watches = Watches(system.engine, every=0.05)
    async for progress in watches.follow(system.customer, batch):
        last = progress
    assert last.report.batch.finished_at is not None
    assert [each.report.batch.state async for each in watches.follow(system.customer, batch)] == ["completed"]
    assert watches.pollers == 0
