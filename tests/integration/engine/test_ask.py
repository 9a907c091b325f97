"""Ask: each contact stands until it is accepted or rejected at an address of its own, or the time is over."""

import asyncio
import json
from datetime import datetime
from typing import Any

import httpx
import pytest

from caravan.engine import advance as advancing
from caravan.engine import upkeep
from caravan.settings import Settings
from tests.integration.conftest import System, open_house, working
from tests.integration.engine.test_wait_for import contacts, settled, standing
from tests.integration.engine.test_webhooks import Sink, sink  # noqa: F401 - the fixture

PUBLIC = "http://caravan.test"


@pytest.fixture
async def system(settings: Settings, sandbox: Any) -> Any:
    """A system that says where it is reached; its tests say when it works."""
    with_url = settings.model_copy(update={"public_url": PUBLIC, "smtp_url": sandbox.url})
    async with open_house(with_url, sandbox) as system:
        yield system


def approval(url: str, more: str = "") -> str:
    return f"""
journey: 1
name: Approval
steps:
  - id: approve
    ask: {{url: '{url}', timeout: 2 days, accepted: welcome, rejected: sorry, else: remind{more}}}
  - {{id: welcome, wait: 30 days}}
  - {{id: sorry, wait: 30 days}}
  - {{id: remind, wait: 30 days}}
"""


async def answer(system: System, url: str, **more: Any) -> httpx.Response:
    assert url.startswith(f"{PUBLIC}/a/")
    return await system.http.post(url.removeprefix(PUBLIC), **more)


def asked(sink: Sink) -> dict[str, dict[str, Any]]:  # noqa: F811
    """What was asked, by contact."""
    return {each["contact"]: each for each in sink.bodies}


async def ask_all(system: System, sink: Sink, *names: str, more: str = "", **properties: Any) -> str:  # noqa: F811
    """A batch whose contacts have all been asked about, and stand."""
    await system.publish(approval(sink.url, more))
    batch = await system.start(contacts(*names, **properties))
    await settled(system, batch, approve=len(names))
    await system.until(batch, lambda _: len(sink.bodies) == len(names))
    await until_standing(system, batch)
    return batch


async def until_standing(system: System, batch: str) -> None:
    await system.until(batch, lambda found: "accepted or rejected" in (found["waitingFor"] or ""))


async def test_a_contact_goes_the_way_of_its_answer_and_the_others_that_of_the_time(
    system: System,
    sink: Sink,  # noqa: F811
) -> None:
    async with working(system):
        batch = await ask_all(system, sink, "a", "b", "c", tier=1, note="kept")
        found = asked(sink)
        assert set(found) == {"a", "b", "c"}
        assert {name: found["a"][name] for name in found["a"] if name not in ("accept", "reject")} == {
            "contact": "a",
            "journey": 1,
            "version": 1,
            "batch": batch,
            "step": "approve",
            "properties": {"tier": 1, "note": "kept"},
        }
        taken = await answer(system, found["a"]["accept"], json={"tier": 2, "by": {"name": "Bo"}})
        assert (taken.status_code, taken.json()) == (200, {"answer": "accepted", "new": True})
        assert (await answer(system, found["b"]["reject"])).json() == {"answer": "rejected", "new": True}
        await settled(system, batch, approve=1, welcome=1, sorry=1)
        await system.turn(days=2, seconds=1)
        done = await settled(system, batch, welcome=1, sorry=1, remind=1)
        assert done["ledger"]["steps"][0]["outcomes"] == {"passed": 3}
        lines = {each["contact"]: each for each in await system.lines(f"batches/{batch}/journal?step=approve")}
        assert {name: line["detail"] for name, line in lines.items()} == {
            "a": "accepted: welcome",
            "b": "rejected: sorry",
            "c": "time over: remind",
        }
        welcomed = await system.lines(f"batches/{batch}/journal?step=welcome&outcome=standing")
        assert [each["contact"] for each in welcomed] == ["a"]
        contact = (await system.get("contacts/a")).json()
        assert contact["entries"][0]["properties"] == {"note": "kept", "tier": 2, "by": {"name": "Bo"}}
        events = (await system.get("contacts/a/events")).json()
        assert [(each["event"], each["properties"]) for each in events] == [
            ("accepted", {"answer": {"tier": 2, "by": {"name": "Bo"}}})
        ]


async def test_what_comes_with_an_answer_becomes_properties(system: System, sink: Sink) -> None:  # noqa: F811
    journey = f"""
journey: 1
steps:
  - id: approve
    ask: {{url: '{sink.url}', timeout: 1 day, accepted: tell}}
  - id: tell
    webhook: {{url: '{sink.url}'}}
"""
    await system.publish(journey)
    async with working(system):
        batch = await system.start(contacts("a", tier=1, note="kept"))
        await until_standing(system, batch)
        body = b'{\n  "tier": 2.50,\n  "by": "B\xc3\xb8"\n}'
        url = asked(sink)["a"]["accept"]
        taken = await answer(system, url, content=body, headers={"Content-Type": "application/json"})
        assert taken.json() == {"answer": "accepted", "new": True}
        await system.ended(batch)
    assert sink.bodies[-1]["properties"] == {"note": "kept", "tier": 2.5, "by": "Bø"}


async def test_the_first_answer_counts_and_later_ones_change_nothing(system: System, sink: Sink) -> None:  # noqa: F811
    async with working(system):
        batch = await ask_all(system, sink, "a", "b")
        urls = asked(sink)["a"]
        answers = await asyncio.gather(*(answer(system, urls[each]) for each in ("accept", "reject") * 10))
        new = [each.json() for each in answers if each.status_code == 200 and each.json()["new"]]
        assert len(new) == 1
        first, other = ("accept", "reject") if new[0]["answer"] == "accepted" else ("reject", "accept")
        assert (await answer(system, urls[first])).json() == {"answer": new[0]["answer"], "new": False}
        refused = await answer(system, urls[other], json={"tier": 3})
        assert refused.status_code == 409
        assert "the first answer counts" in refused.json()["detail"]
        await settled(system, batch, approve=1, **{"welcome" if first == "accept" else "sorry": 1})
        assert (await answer(system, urls[first])).json() == {"answer": new[0]["answer"], "new": False}
        assert (await answer(system, urls[other])).status_code == 409
        events = (await system.get("contacts/a/events")).json()
        assert [each["event"] for each in events] == [new[0]["answer"]]


async def test_an_answer_after_the_time_or_a_recall_changes_nothing(system: System, sink: Sink) -> None:  # noqa: F811
    async with working(system):
        batch = await ask_all(system, sink, "a", "b")
        await system.turn(days=2, seconds=1)
        await settled(system, batch, remind=2)
        late = await answer(system, asked(sink)["a"]["accept"])
        assert (late.status_code, late.json()["detail"]) == (
            410,
            "The time for an answer is over, and the contact has gone on; nothing has changed.",
        )
        second = await system.start(contacts("c"))
        await until_standing(system, second)
        await system.post(f"batches/{second}/cancel", {})
        recalled = await answer(system, asked(sink)["c"]["accept"])
        assert (recalled.status_code, recalled.json()["detail"]) == (
            410,
            "The batch was recalled; nothing has changed.",
        )
        lines = await system.lines(f"batches/{second}/journal")
        assert [(each["outcome"], each["detail"]) for each in lines] == [("cancelled", "asked, and not answered")]
        await system.post(f"batches/{second}/forget", {})
        assert (await answer(system, asked(sink)["c"]["accept"])).status_code == 410
        assert standing(await system.batch(batch)) == {"remind": 2}
        assert (await system.get("contacts/a/events")).json() == []


async def test_an_answer_of_the_last_moment_counts_though_no_worker_was_there(
    system: System,
    sink: Sink,  # noqa: F811
) -> None:
    async with working(system):
        batch = await ask_all(system, sink, "a", "b")
    await system.turn(days=1, hours=23, minutes=59)
    assert (await answer(system, asked(sink)["a"]["accept"])).status_code == 200
    await system.turn(days=1)
    assert (await answer(system, asked(sink)["b"]["accept"])).status_code == 410
    async with working(system):
        await settled(system, batch, welcome=1, remind=1)


async def test_an_answer_that_is_quicker_than_the_rest_of_its_cohort_counts(
    system: System,
    sink: Sink,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes while others of the cohort are still being asked about, so that nobody stands yet."""
    real, go = advancing._commit, asyncio.Event()

    async def held(*args: Any) -> None:
        await go.wait()
        await real(*args)

    monkeypatch.setattr(advancing, "_commit", held)
    await system.publish(approval(sink.url))
    async with working(system):
        batch = await system.start(contacts("a", "b", "c"))
        await system.until(batch, lambda _: len(sink.bodies) == 3)
        assert (await answer(system, asked(sink)["b"]["reject"])).json()["new"] is True
        go.set()
        await settled(system, batch, approve=2, sorry=1)


async def test_an_answer_to_a_call_whose_reply_was_lost_counts(system: System, sink: Sink) -> None:  # noqa: F811
    """The contact is then asked about once more, under the same key; the answer to the first call is the answer."""
    sink.statuses = {"a": [0]}
    await system.publish(approval(sink.url, ", on_unknown: resend"))
    async with working(system):
        batch = await system.start(contacts("a", "b"))
        await system.until(batch, lambda _: "a" in asked(sink))
        assert (await answer(system, asked(sink)["a"]["reject"])).json()["new"] is True
        await settled(system, batch, approve=1, sorry=1)


async def test_of_whom_it_is_unknown_whether_they_were_asked_about_stand_and_say_so(
    system: System,
    sink: Sink,  # noqa: F811
) -> None:
    sink.statuses = {"a": [0], "b": [0]}
    await system.publish(approval(sink.url))
    async with working(system):
        batch = await system.start(contacts("a", "b", "c"))
        await until_standing(system, batch)
        await settled(system, batch, approve=3)
        assert (await answer(system, asked(sink)["a"]["accept"])).json()["new"] is True
        await settled(system, batch, approve=2, welcome=1)
        await system.turn(days=2, seconds=1)
        found = await settled(system, batch, welcome=1, remind=2)
        assert found["ledger"]["steps"][0]["outcomes"] == {"passed": 2, "unknown": 1}
        (line,) = await system.lines(f"batches/{batch}/journal?step=approve&outcome=unknown")
        assert line["detail"] == "time over: remind; whether the question arrived is not known"


async def test_get_and_head_show_and_change_nothing(system: System, sink: Sink) -> None:  # noqa: F811
    async with working(system):
        batch = await ask_all(system, sink, "<a>", "b")
        path = asked(sink)["<a>"]["accept"].removeprefix(PUBLIC)
        page = await system.http.get(path)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "Accept &lt;a&gt;?" in page.text and "Approval" in page.text and "<form method=" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert (await system.http.head(path)).status_code == 200
        assert standing(await system.batch(batch)) == {"approve": 2}
        html = {"Accept": "text/html"}
        done = await system.http.post(path, data={"act": "answer"}, headers=html)
        assert done.status_code == 200 and "<h1>Accepted</h1>" in done.text
        await settled(system, batch, approve=1, welcome=1)
        assert "Accepted already" in (await system.http.get(path)).text
        assert "Accepted already" in (await system.http.post(path, data={"act": "answer"}, headers=html)).text
        other = await system.http.post(path.replace("/accept/", "/reject/"), headers=html)
        assert other.status_code == 404  # each address is signed by itself
        await system.turn(days=2, seconds=1)
        await settled(system, batch, welcome=1, remind=1)
        late = await system.http.get(asked(sink)["b"]["accept"].removeprefix(PUBLIC))
        assert late.status_code == 410 and "The time for an answer is over" in late.text


@pytest.mark.parametrize(
    "body, status, word",
    [
        (b"[1]", 400, "a JSON object"),
        (b'{"a": 1', 400, "a JSON object"),
        (b'{"a": 1}, "id": "x"', 400, "a JSON object"),
        (b'{"a": NaN}', 400, "can't become properties"),
        (b'{"a": "\\u0000"}', 400, "can't become properties"),
        (b'{"a": "\xff"}', 400, "a JSON object"),
        (b"{" + b'"a": [' * 70, 400, "a JSON object"),
        (b'{"a": "' + b"x" * 70_000 + b'"}', 413, "64 KiB"),
    ],
)
async def test_what_can_not_become_properties_is_refused_and_the_contact_stands(
    system: System,
    sink: Sink,  # noqa: F811
    body: bytes,
    status: int,
    word: str,
) -> None:
    async with working(system):
        batch = await ask_all(system, sink, "a")
        url = asked(sink)["a"]["accept"]
        refused = await answer(system, url, content=body, headers={"Content-Type": "application/json"})
        assert (refused.status_code, word in refused.json()["detail"]) == (status, True), refused.text
        assert standing(await system.batch(batch)) == {"approve": 1}
        assert (await answer(system, url)).json()["new"] is True


@pytest.mark.parametrize("part", [1, 2, 3])
async def test_an_address_that_was_changed_is_none(system: System, sink: Sink, part: int) -> None:  # noqa: F811
    async with working(system):
        await ask_all(system, sink, "a")
        parts = asked(sink)["a"]["accept"].removeprefix(PUBLIC).split("/")[1:]
        last = parts[part][-1]
        parts[part] = parts[part][:-1] + ("0" if last != "0" else "1")
        for path in ("/".join(["", *parts]), "/a/x/accept/y"):
            found = await system.http.post(path)
            assert (found.status_code, found.json()["status"]) == (404, 404)


async def test_those_who_can_not_be_asked_about_go_the_way_of_the_time(system: System, sink: Sink) -> None:  # noqa: F811
    sink.statuses = {"b": [400] * 10}
    await system.publish(approval(sink.url))
    async with working(system):
        batch = await system.start(contacts("a", "b"))
        found = await settled(system, batch, approve=1, remind=1)
        assert found["ledger"]["steps"][0]["outcomes"] == {"failed": 1}
        assert (await answer(system, asked(sink)["b"]["accept"])).status_code == 410


async def test_a_body_of_its_own_names_the_addresses(system: System, sink: Sink) -> None:  # noqa: F811
    body = "{contact: '{{ id }}', text: 'Yes: {{ accept_url }} no: {{ reject_url }}'}"
    more = f", body: {body}, headers: {{X-Tier: '{{{{ tier }}}}'}}"
    async with working(system):
        await ask_all(system, sink, "a", more=more, tier=3)
        text = sink.bodies[0]["text"]
        assert set(sink.bodies[0]) == {"contact", "text"}
        assert (await answer(system, text.split()[1])).json() == {"answer": "accepted", "new": True}


async def test_a_goal_lets_those_go_who_stand_for_an_answer(system: System, sink: Sink) -> None:  # noqa: F811
    await system.publish("goal: {event: purchase}\n" + approval(sink.url).lstrip())
    async with working(system):
        batch = await system.start(contacts("a", "b"))
        await until_standing(system, batch)
        await system.post("events", {"id": "a", "event": "purchase"})
        found = await settled(system, batch, approve=1)
        assert found["ledger"]["steps"][0]["outcomes"] == {"goal": 1}
        assert (await answer(system, asked(sink)["a"]["accept"])).status_code == 410


async def test_an_event_of_that_name_by_api_answers_for_nobody(system: System, sink: Sink) -> None:  # noqa: F811
    async with working(system):
        batch = await ask_all(system, sink, "a")
        await system.post("events", {"id": "a", "event": "accepted"})
        await asyncio.sleep(1)
        assert standing(await system.batch(batch)) == {"approve": 1}


async def test_a_paused_batch_takes_answers_and_moves_by_them_once_it_goes_on(
    system: System,
    sink: Sink,  # noqa: F811
) -> None:
    async with working(system):
        batch = await ask_all(system, sink, "a", "b")
        await system.post(f"batches/{batch}/pause", {})
        assert (await answer(system, asked(sink)["a"]["accept"])).json()["new"] is True
        await asyncio.sleep(0.6)
        assert standing(await system.batch(batch)) == {"approve": 2}
        await system.post(f"batches/{batch}/resume", {})
        await settled(system, batch, approve=1, welcome=1)


async def test_without_a_public_address_nobody_is_asked_and_the_batch_says_why(
    settings: Settings,
    sandbox: Any,
    sink: Sink,  # noqa: F811
) -> None:
    async with open_house(settings.model_copy(update={"smtp_url": sandbox.url}), sandbox) as system, working(system):
        await system.publish(approval(sink.url))
        batch = await system.start(contacts("a"))
        found = await system.until(batch, lambda found: found["stuck"] == 1)
        assert "CARAVAN_PUBLIC_URL" in found["waitingFor"]
        assert sink.bodies == []


async def test_what_is_asked_is_in_the_preflight(system: System, sink: Sink) -> None:  # noqa: F811
    await system.publish(approval(sink.url))
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}})).json()
    await system.http.put(opened["uploadUrl"], content=contacts("a", tier=1), headers={"Content-Type": "text/plain"})
    async with working(system):
        await system.until(opened["batchId"], lambda found: found["state"] == "paused")
    found = (await system.get(f"batches/{opened['batchId']}/preflight")).json()
    (message,) = found["messages"]
    body = json.loads(message["samples"][0]["text"])
    assert (message["step"], body["contact"], body["accept"]) == ("approve", "a", "(known once it is sent)")


async def test_chores_leave_those_alone_who_stand_for_an_answer(system: System, sink: Sink) -> None:  # noqa: F811
    async with working(system):
        batch = await ask_all(system, sink, "a")
        await upkeep.tidy(system.engine)
        await upkeep.requeue_missing_jobs(system.engine)
        await asyncio.sleep(0.5)
        assert standing(await system.batch(batch)) == {"approve": 1}
        assert len(sink.bodies) == 1


async def test_whether_an_answer_came_in_time_is_settled_once_for_each(system: System, sink: Sink) -> None:  # noqa: F811
    """Around the end of the time, by the clock of the machine: who was told that the answer counts went by it. Where
    the machine is so slow that all come too late, there is more time."""
    async with working(system):
        for seconds in (3, 6, 12, 24):
            await system.publish(approval(sink.url).replace("2 days", f"{seconds} seconds"))
            accepted, reminded = await _answer_around_the_end(system, sink, [f"c{seconds}-{n}" for n in range(60)])
            if accepted and reminded:
                return
    raise AssertionError("all came in time, or too late")


async def _answer_around_the_end(system: System, sink: Sink, names: list[str]) -> tuple[set[str], set[str]]:  # noqa: F811
    """Who was told that the answer counts, and who was not."""
    batch = await system.start(contacts(*names))
    found = await system.until(batch, lambda found: "accepted or rejected" in (found["waitingFor"] or ""))
    end = datetime.fromisoformat(found["waiting"]["until"])

    async def late_or_not(name: str, number: int) -> bool:
        moment = end.timestamp() - 0.6 + 0.9 * number / len(names)
        await asyncio.sleep(max(0, moment - system.clock.now().timestamp()))
        said = await answer(system, asked(sink)[name]["accept"])
        assert said.status_code in (200, 410), said.text
        return said.status_code == 200

    counted = await asyncio.gather(*(late_or_not(name, number) for number, name in enumerate(names)))
    accepted = {name for name, counts in zip(names, counted, strict=True) if counts}
    await system.until(batch, lambda found: found["ledger"]["steps"][0]["standing"] == 0)
    there = await system.lines(f"batches/{batch}/journal?outcome=standing")
    welcomed, reminded = ({each["contact"] for each in there if each["step"] == step} for step in ("welcome", "remind"))
    assert (welcomed, reminded) == (accepted, set(names) - accepted)
    return accepted, reminded
