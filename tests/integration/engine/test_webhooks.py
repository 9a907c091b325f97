"""Webhook steps, against a real HTTP server."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from tests.integration.conftest import House
from tests.integration.journeys_for_tests import contacts


@dataclass
class Sink:
    """What was called, and what it answers: a status for each contact's nth call."""

    url: str = ""
    keys: list[str] = field(default_factory=list)
    bodies: list[dict] = field(default_factory=list)  # type: ignore[type-arg]
    statuses: dict[str, list[int]] = field(default_factory=dict)


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink()

    async def hook(request: web.Request) -> web.Response:
        body = await request.json()
        sink.keys.append(request.headers["Idempotency-Key"])
        sink.bodies.append(body)
        waiting = sink.statuses.get(body["contact"], [])
        return web.Response(status=waiting.pop(0) if waiting else 200)

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sink.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield sink
    await runner.cleanup()


def _journey(url: str, body: str = "") -> str:
    return f"journey: 1\nname: hook\nsteps:\n  - id: tell\n    webhook: {{url: '{url}'{body}}}\n"


async def test_each_contact_is_told_once_with_a_key_of_its_own(house: House, sink: Sink) -> None:
    await house.publish(_journey(sink.url))
    batch = await house.start(contacts(40))
    found = await house.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 40}
    assert len(set(sink.keys)) == 40 == len(sink.keys)
    first = next(body for body in sink.bodies if body["contact"] == "7")
    assert first == {
        "contact": "7",
        "journey": 1,
        "batch": batch,
        "step": "tell",
        "properties": {"emailAddress": "c7@example.com", "firstname": "N7", "attributeName": "yes"},
    }


async def test_a_body_of_ones_own_is_filled_without_breaking_its_json(house: House, sink: Sink) -> None:
    await house.publish(_journey(sink.url, ", body: {contact: '{{ id }}', who: ['{{ name }}'], n: 7}"))
    await house.ended(await house.start(b'{"id": "a", "properties": {"name": "\\"}, {\\n"}}\n'))
    assert sink.bodies == [{"contact": "a", "who": ['"}, {\n'], "n": 7}]


async def test_a_busy_server_is_asked_again_with_the_same_key(house: House, sink: Sink) -> None:
    sink.statuses = {"3": [503, 503, 200], "4": [400]}
    await house.publish(_journey(sink.url))
    found = await house.ended(await house.start(contacts(6)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 5, "failed": 1}
    assert Counter(Counter(sink.keys).values()) == {1: 5, 3: 1}


async def test_a_circle_with_a_wait_visits_the_step_anew_with_another_key(house: House, sink: Sink) -> None:
    await house.publish(_journey(sink.url) + "    next: later\n  - id: later\n    wait: 1 day\n    next: tell\n")
    batch = await house.start(contacts(2))
    await house.until(batch, lambda b: b["ledger"]["steps"][1]["standing"] == 2)
    await house.turn(days=1, seconds=1)
    await house.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"].get("sent") == 4)
    assert len(set(sink.keys)) == 4
    assert (await house.post(f"batches/{batch}/cancel", {})).status_code == 200


async def test_hosts_that_are_away_do_not_hold_up_those_who_have_others(house: House, sink: Sink) -> None:
    """Each contact names its own host here: one that is away is that contact's trouble, not the channel's."""
    dead = b"".join(b'{"id": "d%d", "properties": {"hook": "http://127.0.0.1:1/x"}}\n' % n for n in range(30))
    good = b"".join(b'{"id": "g%d", "properties": {"hook": "%s"}}\n' % (n, sink.url.encode()) for n in range(20))
    await house.publish(_journey("{{ hook }}", ", body: {contact: '{{ id }}'}"))
    batch = await house.start(dead + good)
    found = await house.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"].get("sent") == 20)
    assert found["ledger"]["steps"][0]["standing"] == 30
