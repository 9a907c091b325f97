"""Webhook steps, against a real HTTP server."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from tests.integration.conftest import System, working
from tests.integration.journeys_for_tests import contacts


@dataclass
class Sink:
    """What was called, and what it answers: a status for each contact's nth call."""

    url: str = ""
    keys: list[str] = field(default_factory=list)
    bodies: list[dict] = field(default_factory=list)  # type: ignore[type-arg]
    statuses: dict[str, list[int]] = field(default_factory=dict)  # 0: none, the connection breaks
    answers: dict[str, object] = field(default_factory=dict)  # JSON for each contact
    retry_after: dict[str, str] = field(default_factory=dict)  # said with each answer that is none of success


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink()

    async def hook(request: web.Request) -> web.Response:
        body = await request.json()
        sink.keys.append(request.headers["Idempotency-Key"])
        sink.bodies.append(body)
        waiting = sink.statuses.get(body["contact"], [])
        status = waiting.pop(0) if waiting else 200
        if not status:
            assert request.transport is not None
            request.transport.abort()
        wait = {} if status == 200 else {"Retry-After": sink.retry_after.get(body["contact"], "")}
        answer = sink.answers.get(body["contact"], "")
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return web.Response(status=status or 200, headers=wait, text=text)

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


async def test_each_contact_is_told_once_with_a_key_of_its_own(system: System, sink: Sink) -> None:
    await system.publish(_journey(sink.url))
    batch = await system.start(contacts(40))
    found = await system.ended(batch)
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


async def test_a_body_of_ones_own_is_filled_without_breaking_its_json(system: System, sink: Sink) -> None:
    await system.publish(_journey(sink.url, ", body: {contact: '{{ id }}', who: ['{{ name }}'], n: 7}"))
    await system.ended(await system.start(b'{"id": "a", "properties": {"name": "\\"}, {\\n"}}\n'))
    assert sink.bodies == [{"contact": "a", "who": ['"}, {\n'], "n": 7}]


async def test_a_busy_server_is_asked_again_with_the_same_key(system: System, sink: Sink) -> None:
    sink.statuses = {"3": [503, 503, 200], "4": [400]}
    await system.publish(_journey(sink.url))
    found = await system.ended(await system.start(contacts(6)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 5, "failed": 1}
    assert Counter(Counter(sink.keys).values()) == {1: 5, 3: 1}


async def test_a_circle_with_a_wait_visits_the_step_anew_with_another_key(system: System, sink: Sink) -> None:
    await system.publish(_journey(sink.url) + "    next: later\n  - id: later\n    wait: 1 day\n    next: tell\n")
    batch = await system.start(contacts(2))
    await system.until(batch, lambda b: b["ledger"]["steps"][1]["standing"] == 2)
    await system.turn(days=1, seconds=1)
    await system.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"].get("sent") == 4)
    assert len(set(sink.keys)) == 4
    assert (await system.post(f"batches/{batch}/cancel", {})).status_code == 200


async def test_hosts_that_are_away_do_not_hold_up_those_who_have_others(system: System, sink: Sink) -> None:
    """Each contact names its own host here: one that is away is that contact's trouble, not the channel's."""
    dead = b"".join(b'{"id": "d%d", "properties": {"hook": "http://127.0.0.1:1/x"}}\n' % n for n in range(30))
    good = b"".join(b'{"id": "g%d", "properties": {"hook": "%s"}}\n' % (n, sink.url.encode()) for n in range(20))
    await system.publish(_journey("{{ hook }}", ", body: {contact: '{{ id }}'}"))
    batch = await system.start(dead + good)
    found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"].get("sent") == 20)
    assert found["ledger"]["steps"][0]["standing"] == 30


_RESEND = ", on_unknown: resend"


async def test_what_may_have_arrived_is_sent_again_with_the_same_key_if_the_step_says_so(
    system: System, sink: Sink
) -> None:
    sink.statuses = {"3": [0, 200], "4": [0, 0]}
    await system.publish(_journey(sink.url, _RESEND))
    found = await system.ended(await system.start(contacts(6)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 6}
    assert Counter(Counter(sink.keys).values()) == {1: 4, 2: 1, 3: 1}


async def test_who_may_have_been_reached_is_never_called_failed(system: System, sink: Sink) -> None:
    sink.statuses = {"3": [0, 503, 400], "4": [400]}
    await system.publish(_journey(sink.url, _RESEND))
    batch = await system.start(contacts(6))
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 4, "failed": 1, "unknown": 1}
    (line,) = await system.lines(f"batches/{batch}/journal?outcome=unknown")
    assert line["contact"] == "3"
    assert line["detail"].startswith("an earlier attempt may have arrived; ")


async def test_a_cancel_says_of_those_who_may_have_been_reached_that_nobody_knows(system: System, sink: Sink) -> None:
    sink.statuses = {"3": [0, *[503] * 1000], "4": [503] * 1000}
    await system.publish(_journey(sink.url, _RESEND) + "    next: days\n  - id: days\n    wait: 3 days\n")
    batch = await system.start(contacts(6))
    await system.until(batch, lambda b: len(sink.keys) >= 12 and b["ledger"]["steps"][0]["outcomes"] == {"sent": 4})
    await system.post(f"batches/{batch}/cancel", {})
    found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["standing"] == 0)
    tell, days = found["ledger"]["steps"]
    assert tell["outcomes"] == {"sent": 4, "unknown": 1, "cancelled": 1}
    assert days["arrived"] == 5 == days["outcomes"]["cancelled"]
    lines = await system.lines(f"batches/{batch}/journal?step=tell")
    assert {line["contact"]: line["outcome"] for line in lines if line["outcome"] != "sent"} == {
        "3": "unknown",
        "4": "cancelled",
    }


async def test_who_can_not_be_told_of_for_too_long_is_given_up_as_unknown(system: System, sink: Sink) -> None:
    sink.statuses = {"0": [0] * 1000}
    await system.publish(_journey(sink.url, _RESEND))
    batch = await system.start(contacts(1))
    await system.until(batch, lambda b: len(sink.keys) >= 2)
    await system.turn(days=4)
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"unknown": 1}
    (line,) = await system.lines(f"batches/{batch}/journal")
    assert line["detail"].startswith("given up after ")


async def test_the_time_of_a_pause_is_no_time_in_which_was_tried(idle_system: System, sink: Sink) -> None:
    system = idle_system
    system.engine.settings.__dict__["retry_delay"] = 60
    sink.statuses = {"0": [503, 503]}
    await system.publish(_journey(sink.url))
    batch = await system.start(contacts(1))
    async with working(system):
        await system.until(batch, lambda b: b["waiting"] is not None and b["waiting"]["kind"] == "retry")
        await system.post(f"batches/{batch}/pause", {})
        await system.turn(days=4)
        await system.post(f"batches/{batch}/resume", {})
        await system.until(batch, lambda b: len(sink.keys) == 2 and b["waitingFor"] is not None)
        await system.turn(minutes=5)
        assert (await system.ended(batch))["ledger"]["steps"][0]["outcomes"] == {"sent": 1}


async def test_who_is_asked_to_wait_waits_as_long_and_holds_up_no_other(system: System, sink: Sink) -> None:
    sink.statuses, sink.retry_after = {"3": [429], "4": [503]}, {"3": "3000"}
    await system.publish(_journey(sink.url))
    batch = await system.start(contacts(6))
    found = await system.until(batch, lambda b: b["ledger"]["steps"][0]["outcomes"] == {"sent": 5})
    assert found["ledger"]["steps"][0]["standing"] == 1
    assert found["waiting"]["reason"].startswith("429")
    await system.turn(seconds=2900)
    assert (await system.batch(batch))["ledger"]["steps"][0]["standing"] == 1
    await system.turn(seconds=101)
    await system.ended(batch)
    assert Counter(Counter(sink.keys).values()) == {1: 4, 2: 2}


async def test_a_host_that_asks_all_to_wait_is_left_alone_until_then(system: System, sink: Sink) -> None:
    """Of a cohort of many windows it is called for the first one alone."""
    sink.statuses = {str(number): [429] for number in range(10)}
    sink.retry_after = {str(number): "600" for number in range(10)}
    await system.publish(_journey(sink.url))
    batch = await system.start(contacts(60))
    await system.until(batch, lambda b: len(sink.keys) >= 10 and b["waiting"])
    assert len(sink.keys) == 10
    await system.turn(seconds=601)
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 60}
    assert len(sink.keys) == 70


async def test_an_endpoint_that_is_gone_is_called_no_more(system: System, sink: Sink) -> None:
    """The calls that were under way with it are answered; then nobody calls, in this window or a later one."""
    sink.statuses = {str(number): [410] for number in range(60)}
    await system.publish(_journey(sink.url))
    batch = await system.start(contacts(60))
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"failed": 60}
    assert len(sink.keys) <= 10
    details = Counter(line["detail"].split()[0] for line in await system.lines(f"batches/{batch}/journal"))
    assert details == {"410": len(sink.keys), "not": 60 - len(sink.keys)}
    other = await system.start(contacts(1))
    await system.ended(other)
    assert len(sink.keys) <= 11, "a batch of its own finds out for itself"


async def test_an_endpoint_that_is_gone_stops_no_other(system: System, sink: Sink) -> None:
    sink.statuses = {"1": [410], "2": [410]}
    await system.publish(_journey(sink.url + "?contact={{ id }}"))
    found = await system.ended(await system.start(contacts(30)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 28, "failed": 2}
    assert len(sink.keys) == 30


async def test_who_may_have_been_reached_by_an_endpoint_that_is_gone_now_is_unknown(system: System, sink: Sink) -> None:
    sink.statuses = {"3": [0, 410]}
    await system.publish(_journey(sink.url, _RESEND))
    batch = await system.start(contacts(5))
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 4, "unknown": 1}


_SAVING = """journey: 1
name: hook
steps:
  - id: ask
    webhook:
      url: "{url}"
      save: {{score: $.score, "first tag": "$.tags[0]", firstname: $.name}}
    next: good
  - id: good
    split:
      - if: score >= 70
        to: tell
  - id: tell
    webhook: {{url: "{url}", body: {{contact: "{{{{ id }}}}", score: "{{{{ score }}}}", tag: '{{{{ contact["first tag"] }}}}'}}}}
"""  # noqa: E501


async def test_what_a_step_saves_of_the_answer_is_there_for_the_steps_that_follow(system: System, sink: Sink) -> None:
    """Each answer has a score of ten times the contact's number; some have none, and some are tried twice."""
    sink.answers = {str(n): {"score": n * 10, "tags": [f"t{n}"]} for n in range(12)} | {"3": "no JSON", "11": []}
    sink.statuses = {"9": [503, 200]}
    await system.publish(_SAVING.format(url=sink.url))
    batch = await system.start(contacts(12))
    found = await system.ended(batch)
    assert [step["outcomes"] for step in found["ledger"]["steps"]] == [{"sent": 12}, {"passed": 12}, {"sent": 4}]
    told = sorted((body for body in sink.bodies if "tag" in body), key=lambda body: int(body["contact"]))
    assert told == [{"contact": str(n), "score": n * 10, "tag": f"t{n}"} for n in (7, 8, 9, 10)]
    (line,) = await system.lines(f"batches/{batch}/journal?step=ask&contact=3")
    assert line["detail"].endswith("(nothing was saved: the answer is no JSON)")
    for contact, score in (("9", "90"), ("3", None)):
        (entry,) = (await system.get(f"contacts/{contact}")).json()["entries"]
        why = next(stay["why"] for stay in entry["stays"] if stay["step"] == "good")
        assert [each["value"] for each in why["conditions"][0]["values"]] == [score], "as it was at the split"
        assert why["agrees"]


@pytest.fixture
async def taker() -> AsyncIterator[Sink]:
    """A server that takes several contacts at once, and answers as to the first of them."""
    sink = Sink()

    async def hook(request: web.Request) -> web.Response:
        bodies = await request.json()
        sink.keys.append(request.headers["Idempotency-Key"])
        sink.bodies.append({"calls": bodies})
        waiting = sink.statuses.get(bodies[0]["contact"], [])
        status = waiting.pop(0) if waiting else 200
        if not status:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=status or 200)

    app = web.Application()
    app.router.add_post("/{path:.*}", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sink.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield sink
    await runner.cleanup()


def _told(sink: Sink) -> Counter[str]:
    return Counter(each["contact"] for body in sink.bodies for each in body["calls"])


async def test_several_contacts_go_out_in_one_request(system: System, taker: Sink) -> None:
    await system.publish(_journey(taker.url, ", batch: 4"))
    found = await system.ended(await system.start(contacts(25)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 25}
    assert sorted(len(body["calls"]) for body in taker.bodies) == [1, 2, 2, 4, 4, 4, 4, 4]
    assert _told(taker) == Counter(str(number) for number in range(25))
    assert len({each["key"] for body in taker.bodies for each in body["calls"]}) == 25
    assert len(set(taker.keys)) == 8


async def test_only_what_is_alike_goes_out_together(system: System, taker: Sink) -> None:
    await system.publish(_journey(taker.url + "/{{ id | slice: 0 }}", ", batch: 100, body: {contact: '{{ id }}'}"))
    await system.ended(await system.start(contacts(10)))
    assert [len(body["calls"]) for body in taker.bodies] == [1] * 10


async def test_one_answer_is_the_outcome_of_all_that_went_out_with_it(system: System, taker: Sink) -> None:
    taker.statuses = {"0": [503, 200], "5": [400], "10": [0], "15": [0]}
    await system.publish(_journey(taker.url, ", batch: 5"))
    batch = await system.start(contacts(25))
    found = await system.ended(batch)
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 10, "failed": 5, "unknown": 10}
    unknown = {line["contact"] for line in await system.lines(f"batches/{batch}/journal?outcome=unknown")}
    assert unknown == {str(number) for number in range(10, 20)}
    assert _told(taker) == Counter({str(n): 2 if n < 5 else 1 for n in range(25)})
    assert Counter(Counter(taker.keys).values()) == {1: 4, 2: 1}, "those of a retry are the same, so is their key"
    letters = await system.lines(f"batches/{batch}/dead-letters")
    assert {each["contact"] for each in letters} == {str(number) for number in range(5, 10)}


async def test_several_of_whom_nobody_knows_are_sent_again_with_their_key_if_the_step_says_so(
    system: System, taker: Sink
) -> None:
    taker.statuses = {"5": [0, 200]}
    await system.publish(_journey(taker.url, ", batch: 5" + _RESEND))
    found = await system.ended(await system.start(contacts(20)))
    assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 20}
    assert Counter(Counter(taker.keys).values()) == {1: 3, 2: 1}
