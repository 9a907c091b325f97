"""The list of suppressions: looked through, added to, lifted, imported and exported."""

import io
import json
from urllib.parse import urlsplit

import httpx
import pytest

from caravan.engine import suppression_files
from caravan.engine.suppression_files import Format, Importer
from caravan.engine.suppressions import By, channel_names
from caravan.store.suppressions import Way
from tests.integration.conftest import System


async def _all(system: System, query: str = "") -> list[dict]:  # type: ignore[type-arg]
    answer = await system.get(f"suppressions{query}")
    assert answer.status_code == 200, answer.text
    return list(answer.json())


async def test_one_or_many_are_added_and_told_with_reason_source_time_and_who(idle_system: System) -> None:
    system = idle_system
    answer = await system.post("suppressions", {"address": "Anna <Anna@Example.COM>", "detail": "by phone"})
    assert (answer.status_code, answer.json()) == (200, {"added": 1, "known": 0})
    many = [{"address": "anna@example.com"}, {"address": "b@bücher.de", "topic": "News", "reason": "unsubscribed"}]
    assert (await system.post("suppressions", many)).json() == {"added": 1, "known": 1}
    newest, first = await _all(system)
    token = system.token.split("_")[1]
    assert first["at"] and first | {"at": ""} == {
        "address": "anna@example.com",
        "channel": "email",
        "topic": None,
        "reason": "manual",
        "at": "",
        "detail": "by phone",
        "source": "api",
        "who": f"token {token}",
    }
    assert (newest["address"], newest["topic"]) == ("b@xn--bcher-kva.de", "News")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"address": "nobody"}, "must be one mail address"),
        ({"address": "a@b.example, c@d.example"}, "one mail address"),
        ({}, "missing"),
        ({"address": 7}, "missing"),
        ({"address": "a@b.example", "channel": "fax"}, "There is no channel 'fax'; there are email"),
        ({"address": "a@b.example", "reason": "mood"}, "There is no reason 'mood'; there are unsubscribed"),
        ({"address": "a@b.example", "at": "soon"}, "'soon' is no moment"),
        ({"address": "a@b.example", "topics": "x"}, "did you mean topic"),
        ([{"address": "a@b.example"}, {"address": "x"}], "Entry 1: "),
        ("a@b.example", "Entry 0 is no object"),
    ],
)
async def test_what_can_not_be_used_is_told_and_nothing_is_added(idle_system: System, body: object, word: str) -> None:
    answer = await idle_system.post("suppressions", body)
    assert answer.status_code == 400
    assert word in answer.json()["detail"]
    assert await _all(idle_system) == []


async def test_the_same_idempotency_key_gets_the_same_answer(idle_system: System) -> None:
    for _ in range(2):
        answer = await idle_system.post("suppressions", {"address": "a@b.example"}, **{"Idempotency-Key": "k"})
        assert answer.json() == {"added": 1, "known": 0}


async def test_pages_lead_through_all_newest_first_or_by_address(idle_system: System) -> None:
    system = idle_system
    names = [f"{letter}{number}@example.com" for letter in "ab" for number in range(5)]
    await system.post("suppressions", [{"address": each} for each in names])
    await system.post("suppressions", {"address": "https://example.com/hook", "channel": "webhook"})
    assert len(await _all(system, "?channel=webhook")) == 1
    for query, expected in (("?limit=3&channel=email", names[::-1]), ("?limit=2&address=A", names[:5])):
        found, path = [], f"suppressions{query}"
        while path:
            answer = await system.get(path)
            found += [each["address"] for each in answer.json()]
            following = answer.links.get("next", {}).get("url")
            path = f"suppressions?{urlsplit(following).query}" if following else ""
        assert found == expected


async def test_lifting_takes_all_or_those_of_a_topic_or_a_reason(idle_system: System) -> None:
    system = idle_system
    for values in ({}, {"topic": "News"}, {"reason": "complaint"}):
        await system.post("suppressions", {"address": "a@b.example", **values})

    async def lift(query: str) -> httpx.Response:
        return await system.http.delete(system.path(f"suppressions?address=A@B.example{query}"))

    assert (await lift("&topic=News")).json() == {"removed": 1}
    assert (await lift("&reason=complaint")).json() == {"removed": 1}
    assert (await lift("")).json() == {"removed": 1}
    assert (await lift("")).json() == {"removed": 0}
    assert await _all(system) == []


CSV = b"\xef\xbb\xbfaddress,topic,reason\r\nAnna@example.com,News,unsubscribed\r\n\r\nnobody,,\r\nb@example.com,,\r\n"
LINES = (
    b'{"address": "a@example.com"}\n"b@example.com"\n{"address": 1}\n[]\n\xff\n{"address": "c@example.com", "x": 1}\n'
)


async def _import(system: System, content: bytes, kind: str) -> httpx.Response:
    headers = {"Content-Type": kind}
    return await system.http.post(system.path("suppressions/import"), content=content, headers=headers)


async def test_a_csv_file_is_imported_and_its_bad_lines_are_told_by_number(idle_system: System) -> None:
    answer = await _import(idle_system, CSV, "text/csv; charset=utf-8")
    found = answer.json()
    assert {name: found[name] for name in ("lines", "added", "known", "refused")} == {
        "lines": 3,
        "added": 2,
        "known": 0,
        "refused": 1,
    }
    assert [each["line"] for each in found["refusals"]] == [4]
    assert {(each["address"], each["topic"], each["reason"], each["source"]) for each in await _all(idle_system)} == {
        ("anna@example.com", "News", "unsubscribed", "import"),
        ("b@example.com", None, "import", "import"),
    }
    assert (await _import(idle_system, CSV, "text/csv")).json()["known"] == 2


async def test_ndjson_is_imported_line_by_line(idle_system: System) -> None:
    found = (await _import(idle_system, LINES, "application/x-ndjson")).json()
    assert (found["added"], [each["line"] for each in found["refusals"]]) == (2, [3, 4, 5, 6])


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"name,mail\r\nx,y@example.com\r\n", "text/csv", 400),
        (b"address,colour\r\n", "text/csv", 400),
        (b"a@example.com", "text/plain", 415),
    ],
)
async def test_a_list_that_can_not_be_understood_is_refused(
    idle_system: System, content: bytes, kind: str, status: int
) -> None:
    assert (await _import(idle_system, content, kind)).status_code == status


async def test_a_plain_list_of_addresses_is_a_csv_file_too(idle_system: System) -> None:
    assert (await _import(idle_system, b"a@example.com\nb@example.com\n", "text/csv")).json()["added"] == 2


@pytest.mark.parametrize("format", Format)
async def test_what_is_exported_can_be_imported_by_another_customer(idle_system: System, format: Format) -> None:
    system = idle_system
    await system.post(
        "suppressions",
        [
            {
                "address": "a@example.com",
                "topic": 'Say "hi", all',
                "reason": "unsubscribed",
                "at": "2026-01-02T03:04:05Z",
            },
            {"address": "b@example.com", "detail": "Zoë, later"},
            {"address": "c@example.com", "reason": "hard_bounce"},
        ],
    )
    content = (await system.get(f"suppressions/export?format={format}")).content
    before = await _all(system)
    for each in before:
        await system.http.delete(system.path("suppressions"), params={"address": each["address"]})
    kind = "text/csv" if format is Format.CSV else "application/x-ndjson"
    assert (await _import(system, content, kind)).json()["added"] == 3
    kept = ("address", "topic", "reason", "at", "detail")
    assert [[each[name] for name in kept] for each in await _all(system)] == [
        [each[name] for name in kept] for each in before
    ]


async def test_a_long_list_is_held_in_pieces(idle_system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    system = idle_system
    monkeypatch.setattr(suppression_files, "_CHUNK", 10)
    lines = b"".join(b'{"address": "c%d@example.com"}\n' % number for number in range(95)) + b"x" * 40_000 + b"\n"
    by = By("command test", Way.IMPORT)
    importer = Importer(
        system.engine.pool, system.customer, channel_names(system.engine), by, system.engine.clock.now()
    )
    found = await importer.add(io.BytesIO(lines), Format.NDJSON)
    assert (found.added, found.refused, found.refusals[0][0]) == (95, 1, 96)
    exported = [piece async for piece in suppression_files.export(system.engine.pool, system.customer, Format.NDJSON)]
    assert len(exported) == 10
    assert {json.loads(line)["address"] for piece in exported for line in piece.splitlines()} == {
        f"c{number}@example.com" for number in range(95)
    }
