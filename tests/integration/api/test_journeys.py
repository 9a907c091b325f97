"""Versions of a journey: listed, and each fetched as it was written; warnings beside what was published."""

import json

import httpx
import pytest

from tests.integration.conftest import System
from tests.integration.journeys_for_tests import EXIT

FIRST = "# why 🌷\njourney: 1\nsteps:\n  - exit: {}   # the end\n    id: a\nname: First\n"
SECOND = FIRST.replace("First", "Second").replace("\n", "\r\n")


async def put(system: System, source: str) -> httpx.Response:
    return await system.http.put(system.path("journeys/1"), content=source.encode())


async def written(system: System, query: str = "", accept: str = "application/yaml") -> httpx.Response:
    return await system.http.get(system.path(f"journeys/1{query}"), headers={"Accept": accept})


async def test_each_version_is_fetched_as_it_was_written_and_as_json(system: System) -> None:
    for source in (FIRST, SECOND):
        assert (await put(system, source)).status_code == 200
    for number, source, name in ((1, FIRST, "First"), (2, SECOND, "Second")):
        for accept, media in (("application/yaml", "application/yaml"), ("text/plain", "text/plain")):
            answer = await written(system, f"?version={number}", accept)
            assert answer.content == source.encode()
            assert answer.headers["content-type"] == f"{media}; charset=utf-8"
            assert answer.headers["caravan-version"] == str(number)
        found = await system.get(f"journeys/1?version={number}")
        assert (found.json()["name"], found.headers["caravan-version"]) == (name, str(number))
        assert found.headers["content-type"] == "application/json"
    assert (await written(system)).content == SECOND.encode()
    assert (await system.get("journeys/1")).json()["name"] == "Second"


async def test_versions_are_listed_newest_first(system: System) -> None:
    assert (await system.get("journeys/1/versions")).status_code == 404
    for source in (FIRST, SECOND, SECOND):
        await put(system, source)
    found = (await system.get("journeys/1/versions")).json()
    assert [(each["version"], each["name"]) for each in found] == [(2, "Second"), (1, "First")]
    assert all(each["publishedAt"] for each in found)


async def test_another_comment_is_another_version_and_the_same_text_is_none(system: System) -> None:
    versions = [(await put(system, source)).json()["version"] for source in (FIRST, FIRST, FIRST + "# more\n", FIRST)]
    assert versions == [1, 1, 2, 3]


async def test_a_definition_that_is_read_back_and_published_again_leaves_the_text_as_it_was_written(
    system: System,
) -> None:
    await put(system, FIRST)
    definition = (await system.get("journeys/1")).json()
    assert (await put(system, json.dumps(definition, indent=2))).json()["version"] == 1
    assert (await written(system)).content == FIRST.encode()
    assert (await put(system, text := json.dumps(definition | {"name": "JSON"}, indent=3))).json()["version"] == 2
    assert (await written(system)).text == text


@pytest.mark.parametrize("query", ["?version=3", "?version=0", "?version=x", "?version=-1", "?version=99999999999"])
async def test_a_version_that_is_not_there_is_an_error_and_never_another_one(system: System, query: str) -> None:
    await put(system, FIRST)
    answer = await system.get(f"journeys/1{query}")
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_version_from_before_texts_were_kept_is_answered_as_json_text(system: System) -> None:
    await put(system, FIRST)
    async with system.engine.pool.connection() as connection:
        await connection.execute("update journey_versions set source = null")
    answer = await written(system)
    assert answer.json() == (await system.get("journeys/1")).json()


async def test_publishing_answers_warnings_and_refusing_answers_them_beside_the_problems(system: System) -> None:
    assert (await put(system, EXIT)).json()["warnings"] == []
    answer = await put(system, FIRST.replace("First", "Sale #1"))
    assert answer.status_code == 200
    [warning] = answer.json()["warnings"]
    assert (warning["line"], warning["where"]) == (6, "name")
    assert warning["message"].startswith("YAML takes #1 for a comment")
    refused = await put(system, FIRST.replace("First", "Sale #1").replace("exit", "exlt"))
    assert refused.status_code == 422
    assert refused.json()["problems"] and refused.json()["warnings"] == [warning]
