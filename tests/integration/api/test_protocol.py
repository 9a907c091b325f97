"""What HTTP promises of every path: HEAD, Allow, no redirects, CORS, and pages that need nothing from the net."""

import re
from dataclasses import replace

import httpx
import pytest

from caravan.api.app import create_app
from tests.integration.conftest import System
from tests.integration.journeys_for_tests import MAIL, contacts


@pytest.mark.parametrize(
    "path", ["batches", "journeys", "batches/{batch}", "batches/{batch}/journal", "batches/{batch}/events"]
)
async def test_head_is_answered_wherever_get_is_with_the_same_headers(system: System, path: str) -> None:
    await system.publish(MAIL)
    batch = await system.start(contacts(2))
    await system.ended(batch)
    url = system.path(path.format(batch=batch))
    got, head = await system.http.get(url), await system.http.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers.get("content-type") == got.headers["content-type"]


async def test_head_of_a_stream_that_never_ends_ends(system: System) -> None:
    await system.publish(MAIL)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    head = await system.http.head(system.path(f"batches/{opened['batchId']}/events"), timeout=60)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/{customer}/batches", "GET, HEAD"),
        ("PATCH", "/{customer}/journeys/1", "GET, HEAD, PUT"),
        ("GET", "/{customer}/batchtrigger/v2", "POST"),
        ("PUT", "/rest/{customer}/batches/b_1/pause", "POST"),
        ("POST", "/uploads/token", "PUT"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_405_with_all_that_it_takes(
    system: System, method: str, path: str, allow: str
) -> None:
    answer = await system.http.request(method, path.format(customer=system.customer))
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["batches/", "journeys/", "batches//"])
async def test_a_trailing_slash_gets_the_same_answer_and_no_redirect(system: System, path: str) -> None:
    answer = await system.get(path)
    assert (answer.status_code, answer.json()) == (200, [])


async def test_a_trailing_slash_of_a_post_is_no_other_call(system: System) -> None:
    await system.publish(MAIL)
    answer = await system.post("batchtrigger/v2/", {"entityId": 1})
    assert answer.status_code == 200, answer.text


async def test_pages_of_other_origins_may_call_only_where_the_setting_says_so(system: System) -> None:
    page = {"Origin": "https://app.example.com"}
    asked = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert "access-control-allow-origin" not in (await system.http.get("/healthz", headers=page)).headers
    settings = system.engine.settings.model_copy(update={"cors_origins": "https://app.example.com"})
    app = create_app(replace(system.engine, settings=settings))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        before = await http.options(system.path("batches"), headers=asked)
        other = await http.get("/healthz", headers={"Origin": "https://evil.example"})
    assert before.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "authorization" in before.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in other.headers


async def test_the_docs_page_names_every_call_and_loads_nothing(system: System) -> None:
    page = (await system.http.get("/docs")).text
    described = (await system.http.get("/openapi.json")).json()
    for path, methods in described["paths"].items():
        for method in methods:
            assert f"<h2>{method.upper()} {path}</h2>" in page
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(", page)


async def test_each_call_is_described_with_its_answer_its_token_and_its_problem(system: System) -> None:
    described = (await system.http.get("/openapi.json")).json()
    for path, methods in described["paths"].items():
        for method, call in methods.items():
            status, good = next(each for each in call["responses"].items() if each[0].startswith("2"))
            schemas = [each.get("schema") for each in good.get("content", {}).values()]
            assert all(schemas) and bool(schemas) == (status != "204"), f"{method} {path} says nothing of its answer"
            assert "application/problem+json" in call["responses"]["default"]["content"]
            assert bool(call.get("security")) == path.startswith("/{customerid}")
            keys = [each for each in call.get("parameters", ()) if each["name"] == "Idempotency-Key"]
            assert len(keys) == (method == "post" and path.startswith("/{customerid}"))
