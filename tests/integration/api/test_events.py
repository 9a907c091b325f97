"""Events by API: durable before the answer, each once, bad lines told by number."""

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.conftest import System

NDJSON = {"Content-Type": "application/x-ndjson"}


async def _send(system: System, body: bytes, **headers: str) -> httpx.Response:
    return await system.http.post(system.path("events"), content=body, headers={**NDJSON, **headers})


async def _events(system: System, rest: str) -> list[dict]:  # type: ignore[type-arg]
    answer = await system.get(f"contacts/{rest}")
    assert answer.status_code == 200, answer.text
    return list(answer.json())


async def test_one_event_is_taken_once_and_listed(idle_system: System) -> None:
    system = idle_system
    event = {"id": "anna", "event": "purchase", "at": "2026-05-04T09:30:00+02:00", "properties": {"total": 9.5}}
    answer = await system.post("events", {**event, "key": "k1"})
    assert (answer.status_code, answer.json()) == (200, {"taken": 1, "duplicates": 0, "refused": 0, "refusals": []})
    assert (await system.post("events", {**event, "key": "k1"})).json()["duplicates"] == 1
    (found,) = await _events(system, "anna/events")
    assert datetime.fromisoformat(found["at"]) == datetime(2026, 5, 4, 7, 30, tzinfo=UTC)
    assert found | {"at": "", "takenAt": ""} == {
        "event": "purchase",
        "at": "",
        "takenAt": "",
        "properties": {"total": 9.5},
        "source": "api",
        "key": "k1",
        "batch": None,
        "step": None,
    }


async def test_events_of_many_calls_at_once_are_all_there(idle_system: System) -> None:
    system = idle_system
    calls = [system.post("events", {"id": "many", "event": "ping", "key": str(each % 50)}) for each in range(100)]
    answers = [each.json() for each in await asyncio.gather(*calls)]
    assert sum(each["taken"] for each in answers) == sum(each["duplicates"] for each in answers) == 50
    assert len(await _events(system, "many/events")) == 50


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "The body is empty"),
        (b"[]", "The row is an array, not an object"),
        (b'{"event": "x"}', "no id"),
        (b'{"id": "a"}', "no event"),
        (b'{"id": "a", "event": "1"}', 'The event "1" is no name'),
        (b'{"id": "a", "event": "a\\r\\nb"}', "is no name"),
        (b'{"id": "a", "event": {"a": 1}}', "is no name"),
        (b'{"id": "a", "event": "x", "at": "tomorrow"}', 'The moment "tomorrow" is none'),
        (b'{"id": "a", "event": "x", "at": "2026-05-04T09:30:00"}', "zone"),
        (b'{"id": "a", "event": "x", "at": 17}', "is none"),
        (b'{"id": "a", "event": "x", "at": "2999-05-04T09:30:00Z"}', "has not come yet"),
        (b'{"id": "a", "event": "x", "properties": []}', "must be an object"),
        (b'{"id": "a", "event": "x", "properties": {"a": "\\u0000"}}', "NUL"),
        (b'{"id": "a", "event": "x", "properties": {"a": "\\ud800"}}', "surrogate"),
        (b'{"id": "a", "event": "x", "properties": {"a": NaN}}', "NaN"),
        (b'{"id": "a\\u0000", "event": "x"}', "control character"),
        (b'{"id": "a", "event": "x", "key": ""}', "1 to 256"),
        (b'{"id": "a", "event": "x", "key": true}', "1 to 256"),
        (b'{"id": "a", "event": "x", "props": {}}', "did you mean properties"),
        (b'{"id": "a", "event": "x"} {}', "not JSON"),
        (b'{"id": "a", "event": "x"}\n{"id": "a", "event": "x"}', "not JSON"),
        (b'{"id": "\xff", "event": "x"}', "not UTF-8"),
    ],
)
async def test_an_event_that_is_none_is_refused_with_a_sentence(idle_system: System, body: bytes, word: str) -> None:
    answer = await idle_system.http.post(idle_system.path("events"), content=body)
    assert answer.status_code == 400, answer.text
    assert word in answer.json()["error"]
    assert await _events(idle_system, "a/events") == []


async def test_of_a_list_good_lines_are_taken_and_bad_ones_told(idle_system: System) -> None:
    lines = [b'\xef\xbb\xbf{"id": 7, "event": "x"}\r', b"", b"nothing", b'{"id": "8", "event": "<script>"}']
    lines += [b'{"id": "8", "event": "x", "key": "k"}', b'{"id": "8", "event": "y", "key": "k"}']
    answer = (await _send(idle_system, b"\n".join(lines))).json()
    assert (answer["taken"], answer["duplicates"], answer["refused"]) == (2, 1, 2)
    assert [each["line"] for each in answer["refusals"]] == [3, 4]
    assert [each["event"] for each in await _events(idle_system, "7/events")] == ["x"]
    assert [each["event"] for each in await _events(idle_system, "8/events")] == ["x"]


async def test_a_hundred_thousand_lines_are_taken_also_packed_and_not_one_more(idle_system: System) -> None:
    lines = [json.dumps({"id": f"c{each}", "event": "load", "key": f"load{each}"}) for each in range(100_000)]
    packed = gzip.compress("\n".join(lines).encode(), 1)
    answer = await _send(idle_system, packed, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["taken"]) == (200, 100_000)
    assert len(await _events(idle_system, "c99999/events")) == 1
    answer = await _send(idle_system, "\n".join([*lines, lines[0]]).encode())
    assert answer.status_code == 413
    assert "100,000 lines" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "encoding", "status", "word"),
    [
        (b"no gzip", "gzip", 400, "not gzip"),
        (gzip.compress(b'{"id": "a", "event": "x"}')[:-4], "gzip", 400, "cut off"),
        (b"{}", "br", 415, "use gzip"),
        (gzip.compress(b" " * (65 << 20)), "gzip", 413, "once it is expanded"),
    ],
    ids=["no gzip", "cut off", "another encoding", "large"],
)
async def test_a_body_that_can_not_be_expanded(
    idle_system: System, body: bytes, encoding: str, status: int, word: str
) -> None:
    answer = await _send(idle_system, body, **{"Content-Encoding": encoding})
    assert (answer.status_code, word in answer.json()["error"]) == (status, True), answer.text


async def test_several_gzip_members_are_one_body(idle_system: System) -> None:
    body = gzip.compress(b'{"id": "g", "event": "x"}\n') + gzip.compress(b'{"id": "g", "event": "y"}\n')
    assert (await _send(idle_system, body, **{"Content-Encoding": "gzip"})).json()["taken"] == 2


async def test_a_key_of_the_call_answers_the_same_again(idle_system: System) -> None:
    system, event = idle_system, {"id": "twice", "event": "x"}
    first = await system.post("events", event, **{"Idempotency-Key": "call"})
    again = await system.post("events", event, **{"Idempotency-Key": "call"})
    assert first.json() == again.json()
    assert len(await _events(system, "twice/events")) == 1
    bad = await system.post("events", {"id": "twice"}, **{"Idempotency-Key": "other"})
    assert (bad.status_code, "no event" in bad.json()["error"]) == (400, True)


async def test_the_events_of_a_contact_come_in_pages_newest_first(idle_system: System) -> None:
    system, now = idle_system, datetime.now(UTC)
    for number in range(5):
        at = (now - timedelta(minutes=number // 2)).isoformat()
        await system.post("events", {"id": "pages/ö", "event": "xy"[number % 2], "at": at})
    whole = await _events(system, "pages%2F%C3%B6/events")
    assert [each["at"] for each in whole] == sorted((each["at"] for each in whole), reverse=True)
    seen, rest = [], "contacts/pages%2F%C3%B6/events?limit=2"
    while rest:
        answer = await system.get(rest)
        seen += answer.json()
        following = answer.links.get("next", {}).get("url")
        rest = "contacts/pages%2F%C3%B6/events?" + urlsplit(following).query if following else ""
    assert seen == whole
    assert len(await _events(system, "pages%2F%C3%B6/events?event=y")) == 2
    assert (await system.get("contacts/a/events?before=x")).status_code == 400
    assert (await system.get("contacts/a/events?name=x")).status_code == 400


async def test_another_customer_s_events_are_not_seen(idle_system: System) -> None:
    await idle_system.post("events", {"id": "ours", "event": "x"})
    answer = await idle_system.http.get(f"/{idle_system.customer + 1}/contacts/ours/events")
    assert answer.status_code == 401
