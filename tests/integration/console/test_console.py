"""The console by its addresses and forms: who gets in, who may do what, and what a page says."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from html import unescape

import httpx
import pytest

from caravan.access.audit import Filter, entries
from caravan.access.users import Role, add_user
from caravan.api.app import create_app
from caravan.console.app import PREFIX, install
from caravan.console.guard import HEADERS
from caravan.console.registry import PAGES
from caravan.engine.engine import Engine
from caravan.store import batches
from caravan.store.customers import add_customer
from tests.integration.conftest import System
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts

OWN = {"Sec-Fetch-Site": "same-origin"}
HOSTILE = '"><img src=x onerror=alert(1)>'
PASSWORD = "a horse, a battery and nine staples"


@asynccontextmanager
async def browser(engine: Engine, base: str = "http://caravan.test") -> AsyncIterator[httpx.AsyncClient]:
    """A browser at an API process of its own, whose forms come from the console."""
    app = create_app(engine)
    install(app)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=OWN) as http:
        yield http


async def sign_in(http: httpx.AsyncClient, email: str, password: str, query: str = "") -> httpx.Response:
    return await http.post(f"/console/login{query}", data={"email": email, "password": password})


async def signed_in(http: httpx.AsyncClient, system: System, role: Role = Role.EDITOR) -> str:
    """Sign in as a new user of the system's customer, who has a password of their own; the email address."""
    email = f"{role}-{system.customer}@example.com"
    async with system.engine.pool.connection() as connection:
        first = await add_user(connection, email, system.customer, role)
    assert first is not None
    assert (await sign_in(http, email, first)).status_code == 303
    fields = {"old": first, "new": PASSWORD, "again": PASSWORD}
    assert (await http.post("/console/password", data=fields)).status_code == 303
    return email


@pytest.fixture
async def http(idle_system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(idle_system.engine) as http:
        yield http


@pytest.fixture
async def editor(http: httpx.AsyncClient, idle_system: System) -> httpx.AsyncClient:
    await signed_in(http, idle_system)
    return http


async def waiting_batch(system: System, count: int = 3) -> str:
    """A running batch whose contacts wait for days."""
    await system.publish(WAIT)
    batch = await system.start(contacts(count))
    await system.until(batch, lambda found: found["ledger"]["entered"] == count)
    return batch


def buttons(page: httpx.Response) -> list[str]:
    return re.findall(r"<button[^>]*>([^<]+)</button>", page.text)


async def test_the_first_password_lets_one_do_nothing_but_choose_another(
    idle_system: System, http: httpx.AsyncClient
) -> None:
    batches_of = f"/console/{idle_system.customer}/batches"
    async with idle_system.engine.pool.connection() as connection:
        first = await add_user(connection, "new@example.com", idle_system.customer, Role.OWNER)
    assert first is not None
    await sign_in(http, "new@example.com", first)
    assert (await http.get(batches_of)).headers["location"] == "/console/password"
    different = await http.post("/console/password", data={"old": first, "new": PASSWORD, "again": "another"})
    assert (different.status_code, "not the same" in different.text) == (400, True)
    changed = await http.post("/console/password", data={"old": first, "new": PASSWORD, "again": PASSWORD})
    assert (changed.status_code, changed.headers["location"]) == (303, "/console")
    assert (await http.get("/console")).headers["location"] == batches_of
    assert (await http.get(batches_of)).status_code == 200


async def test_a_wrong_password_and_an_unknown_user_are_told_the_same_and_get_no_cookie(
    idle_system: System, http: httpx.AsyncClient
) -> None:
    await signed_in(http, idle_system)
    http.cookies.clear()
    wrong = await sign_in(http, f"editor-{idle_system.customer}@example.com", "guess")
    unknown = await sign_in(http, "stranger@example.com", "guess")
    told = [re.search(r'role="alert">([^<]+)<', each.text) for each in (wrong, unknown)]
    assert wrong.status_code == unknown.status_code == 401
    assert told[0] and told[1] and told[0][1] == told[1][1]
    assert "set-cookie" not in wrong.headers
    assert "guess" not in wrong.text


@pytest.mark.parametrize(("url", "name"), [("https://c.test", "__Host-caravan"), ("http://c.test", "caravan")])
async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(
    idle_system: System, url: str, name: str
) -> None:
    settings = idle_system.engine.settings.model_copy(update={"public_url": url})
    async with browser(replace(idle_system.engine, settings=settings), url) as http:
        await signed_in(http, idle_system)
        answer = await sign_in(http, f"editor-{idle_system.customer}@example.com", PASSWORD)
        assert ("strict-transport-security" in answer.headers) is url.startswith("https")
    cookie, *attributes = answer.headers["set-cookie"].lower().split("; ")
    assert cookie.startswith(name.lower() + "=")
    assert {"httponly", "path=/", "samesite=lax"} <= set(attributes)
    assert ("secure" in attributes) is url.startswith("https")
    assert not any(each.startswith("domain") for each in attributes)


async def test_a_page_without_session_leads_to_sign_in_and_back(idle_system: System, http: httpx.AsyncClient) -> None:
    await signed_in(http, idle_system)
    assert (await http.post("/console/sign-out")).headers["location"] == "/console/login"
    answer = await http.get(f"/console/{idle_system.customer}/batches?state=running")
    wanted = f"%2Fconsole%2F{idle_system.customer}%2Fbatches%3Fstate%3Drunning"
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/login?next={wanted}")
    back = await sign_in(http, f"editor-{idle_system.customer}@example.com", PASSWORD, f"?next={wanted}")
    assert back.headers["location"] == f"/console/{idle_system.customer}/batches?state=running"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.test/console/",
        "//evil.test/console/",
        "/\\evil.test",
        "/console//evil.test",
        "/console/../5/batches",
        "/console/%2e%2e/docs",
        "/console/%252e%252e/%0d%0aset-cookie:a=b\r\n",
        "/consolex",
        "javascript:alert(1)",
        "/docs",
    ],
)
async def test_next_leads_nowhere_else(idle_system: System, http: httpx.AsyncClient, wanted: str) -> None:
    await signed_in(http, idle_system)
    answer = await http.post(
        "/console/login",
        params={"next": wanted},
        data={"email": f"editor-{idle_system.customer}@example.com", "password": PASSWORD},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://caravan.test"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {},
    ],
)
async def test_a_post_that_another_site_made_is_refused_on_every_page(
    system: System, editor: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    batch = await waiting_batch(system)
    del editor.headers["Sec-Fetch-Site"]
    for page in PAGES:
        path = PREFIX + page.path.replace("{customer:int}", str(system.customer)).replace("{batch}", batch)
        answer = await editor.post(path, data={"act": "pause"}, headers=headers)
        assert answer.status_code == 403, path
    assert (await system.batch(batch))["state"] == "running"


async def test_an_older_browser_is_known_by_its_origin(system: System, editor: httpx.AsyncClient) -> None:
    batch = await waiting_batch(system)
    del editor.headers["Sec-Fetch-Site"]
    path = f"/console/{system.customer}/batches/{batch}"
    answer = await editor.post(path, data={"act": "pause"}, headers={"Origin": "http://caravan.test"})
    assert (answer.status_code, (await system.batch(batch))["state"]) == (303, "paused")


async def test_pause_resume_and_recall(system: System, editor: httpx.AsyncClient) -> None:
    batch = await waiting_batch(system)
    path = f"/console/{system.customer}/batches/{batch}"
    assert {"Pause", "Recall"} <= set(buttons(await editor.get(path)))
    for act, state in (("pause", "paused"), ("resume", "running")):
        answer = await editor.post(path, data={"act": act})
        assert (answer.status_code, answer.headers["location"]) == (303, path)
        assert (await system.batch(batch))["state"] == state
    asked = await editor.get(f"{path}/recall")
    assert "Recall stops 3 of 3 contacts where they stand" in asked.text
    assert "Confirm" in buttons(asked)
    assert (await system.batch(batch))["state"] == "running"
    answer = await editor.post(f"{path}/recall")
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    found = await system.batch(batch)
    assert (found["state"], found["ledger"]["steps"][0]["outcomes"]) == ("cancelled", {"cancelled": 3})
    assert not {"Pause", "Resume", "Recall", "Retry"} & set(buttons(await editor.get(path)))
    assert (await editor.get(f"{path}/recall")).headers["location"] == path


async def test_every_act_is_in_the_audit_log_and_a_refused_one_is_not(
    system: System, editor: httpx.AsyncClient
) -> None:
    batch = await waiting_batch(system)
    path = f"/console/{system.customer}/batches/{batch}"
    for act in ("pause", "resume", "retry"):
        assert (await editor.post(path, data={"act": act})).status_code == 303
    await editor.post(f"{path}/recall")
    assert (await editor.post(path, data={"act": "pause"})).status_code == 409
    async with system.engine.pool.connection() as connection:
        found = await entries(connection, system.customer, wanted=Filter(who=f"editor-{system.customer}@example.com"))
    assert [each.act for each in found] == ["recall", "retry", "resume", "pause"]
    assert {(each.actor.name, each.subject) for each in found} == {
        (f"editor-{system.customer}@example.com", f"batch {batch}")
    }


async def test_a_stream_without_session_is_refused(system: System, http: httpx.AsyncClient) -> None:
    batch = await waiting_batch(system)
    for path in (f"{system.customer}/batches/live", f"{system.customer}/batches/{batch}/live"):
        assert (await http.get(f"/console/{path}")).status_code == 401


async def test_an_act_that_does_not_fit_or_that_there_is_not_is_refused_with_a_sentence(
    system: System, editor: httpx.AsyncClient
) -> None:
    await system.publish(EXIT)
    batch = await system.start(contacts(1))
    await system.ended(batch)
    path = f"/console/{system.customer}/batches/{batch}"
    ended = await editor.post(path, data={"act": "pause"})
    assert (ended.status_code, "only a batch that is reading or running can pause" in ended.text) == (409, True)
    unknown = await editor.post(path, data={"act": "forget"})
    assert (unknown.status_code, "There are pause, resume, retry" in unknown.text) == (400, True)


async def test_a_viewer_sees_all_and_changes_nothing(system: System, http: httpx.AsyncClient) -> None:
    await signed_in(http, system, Role.VIEWER)
    batch = await waiting_batch(system)
    path = f"/console/{system.customer}/batches/{batch}"
    page = await http.get(path)
    assert (page.status_code, buttons(page)) == (200, ["Sign out"])
    assert "Confirm" not in buttons(await http.get(f"{path}/recall"))
    for act in ("pause", "resume", "retry"):
        assert (await http.post(path, data={"act": act})).status_code == 403
    assert (await http.post(f"{path}/recall")).status_code == 403
    assert (await system.batch(batch))["state"] == "running"


async def test_customers_of_others_are_not_there(system: System, editor: httpx.AsyncClient) -> None:
    async with system.engine.pool.connection() as connection:
        other = await add_customer(connection, f"other {system.customer}", system.clock.now())
    batch = await waiting_batch(system)
    for page in PAGES:
        if "{customer:int}" not in page.path:
            continue
        for customer in (other, 10**30):
            path = PREFIX + page.path.replace("{customer:int}", str(customer)).replace("{batch}", batch)
            answers = [await editor.get(path), await editor.get(f"{path}/live"), await editor.post(path)]
            assert {each.status_code for each in answers} <= {404, 405}, path
    assert (await editor.get(f"/console/{system.customer}/batches/b_none")).status_code == 404
    assert (await editor.get(f"/console/{system.customer}/batches/b_none/live")).status_code == 404
    assert (await system.batch(batch))["state"] == "running"


async def test_every_answer_has_the_headers_also_refusals_and_static_files(
    system: System, editor: httpx.AsyncClient
) -> None:
    batch = await waiting_batch(system)
    paths = [
        PREFIX + page.path.replace("{customer:int}", str(system.customer)).replace("{batch}", batch) for page in PAGES
    ]
    css = re.search(r'href="(/console/static/console\.css[^"]+)"', (await editor.get("/console/login")).text)
    assert css
    streams = [f"{path}/live" for path, page in zip(paths, PAGES, strict=True) if page.live is not None]
    for path in (*paths, css[1], "/console/nothing", "/console/static/nothing", f"{paths[0]}/"):
        answer = await editor.get(path)
        assert answer.status_code in (200, 303, 403, 404), path
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
    stranger = {"Sec-Fetch-Site": "cross-site"}
    refused = [await editor.post(path, headers=stranger) for path in paths]
    refused += [await editor.post(path, content=b"\xff", headers={"Content-Type": "text/plain"}) for path in paths]
    refused += [await editor.put(paths[0]), await editor.get("/console/login", params={"next": "\0"})]
    editor.cookies.clear()
    refused += [await editor.get(path) for path in (*streams, *paths)]
    for answer in refused:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, (answer.request.method, answer.url)
    assert "immutable" in (await editor.get(css[1])).headers["cache-control"]
    assert (await editor.get("/console/login")).headers["cache-control"] == "no-store"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "../guard.py",
        "..%2fguard.py",
        "%2e%2e/guard.py",
        "..%5cguard.py",
        "%252e%252e/guard.py",
        "..//guard.py",
        "/etc/passwd",
        "console.css%00.js",
        "",
        ".",
        "%ff",
        "x" * 5_000,
    ],
)
async def test_static_files_lead_nowhere_else(http: httpx.AsyncClient, path: str) -> None:
    """As a client that normalizes nothing asks."""
    answer = await http.send(http.build_request("GET", httpx.URL("http://caravan.test/console/static/" + path)))
    assert answer.status_code in (404, 405), answer.text
    assert "ASGI" not in answer.text and "root:" not in answer.text


async def test_a_session_that_was_brought_along_is_not_taken_over_at_sign_in(
    idle_system: System, http: httpx.AsyncClient
) -> None:
    """Who plants an identifier, or keeps one from before, has none that is signed in (session fixation)."""
    email = await signed_in(http, idle_system)
    before = http.cookies["caravan"]
    for planted in ("planted", before):
        async with browser(idle_system.engine) as victim:
            victim.cookies.set("caravan", planted, domain="caravan.test")
            answer = await sign_in(victim, email, PASSWORD)
            fresh = re.search(r"caravan=([^;]+)", answer.headers["set-cookie"])
            assert fresh and fresh[1] not in (planted, before)
        async with browser(idle_system.engine) as thief:
            thief.cookies.set("caravan", "planted", domain="caravan.test")
            assert (await thief.get(f"/console/{idle_system.customer}/batches")).status_code == 303


async def test_no_page_has_anything_inline_that_the_policy_would_stop(
    system: System, editor: httpx.AsyncClient
) -> None:
    batch = await waiting_batch(system)
    for page in PAGES:
        path = PREFIX + page.path.replace("{customer:int}", str(system.customer)).replace("{batch}", batch)
        text = (await editor.get(path)).text
        assert not re.search(r'<[^>]*\s(style|on[a-z]+)=|<style|<script(?![^>]*src="/console/)|javascript:', text), path


async def test_what_is_hostile_in_names_and_reasons_is_shown_as_text_on_every_page(
    system: System, editor: httpx.AsyncClient
) -> None:
    await system.publish(WAIT.replace("name: Wait", f"name: '{HOSTILE}'"))
    batch = await system.start(contacts(1))
    await system.until(batch, lambda found: found["ledger"]["entered"] == 1)
    async with system.engine.pool.connection() as connection:
        await batches.note_hindrance(connection, batch, "<script>alert(2)</script>")
    shown = ""
    for page in PAGES:
        path = PREFIX + page.path.replace("{customer:int}", str(system.customer)).replace("{batch}", batch)
        for query in ("", "?next=%22%3E%3Cscript%3Ealert(3)", f"?state={HOSTILE}", f"?journey={HOSTILE}"):
            text = (await editor.get(path + query)).text
            assert "<img src=x" not in text and "<script>alert" not in text, path
            shown += unescape(text)
        if page.live is not None and (await editor.get(path)).status_code == 200:
            streamed = await first_event(editor, path)
            assert "<img src=x" not in streamed and "<script>alert" not in streamed, path
            shown += unescape(streamed)
    assert HOSTILE in shown
    assert "<script>alert(2)</script>" in shown


async def first_event(http: httpx.AsyncClient, path: str) -> str:
    """The HTML of the first event of a page's stream."""
    events = await streamed(http, path, lambda seen: asyncio.sleep(0, bool(seen)))
    return "".join(events[0].values())


async def streamed(
    http: httpx.AsyncClient, path: str, enough: Callable[[list[dict[str, str]]], Awaitable[bool]], query: bytes = b""
) -> list[dict[str, str]]:
    """The fragments of each event of a page's stream until it is enough, or the stream ends. (httpx's own transport
    gives an answer only once it is whole.)"""
    app = http._transport.app  # type: ignore[attr-defined]
    cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    headers = [(b"host", b"caravan.test"), (b"cookie", cookie.encode())]
    seen: list[dict[str, str]] = []
    gone = asyncio.Event()

    async def receive() -> dict[str, object]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        events = bytes(message.get("body", b"")).decode().split("\n\n")  # type: ignore[call-overload]
        seen.extend(json.loads(each.split("data: ", 1)[1]) for each in events if each.startswith("event: fragments"))
        if await enough(seen):
            gone.set()

    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"}
    place = {"path": f"{path}/live", "raw_path": f"{path}/live".encode(), "query_string": query, "headers": headers}
    async with asyncio.timeout(60):
        await app({**scope, **place, "root_path": "", "client": ("test", 1), "server": ("test", 80)}, receive, send)
    return seen


async def test_a_stream_brings_the_parts_that_changed_as_the_page_itself_shows_them(
    system: System, editor: httpx.AsyncClient
) -> None:
    batch = await waiting_batch(system)
    path = f"/console/{system.customer}/batches/{batch}"
    page = (await editor.get(path)).text

    async def enough(seen: list[dict[str, str]]) -> bool:
        if len(seen) == 1:
            await system.post(f"batches/{batch}/pause", {})
        return any("Resume" in html for each in seen for html in each.values())

    events = await streamed(editor, path, enough)
    for part in ("ledger", "steps", "actions", "waits"):
        assert events[0][part].strip() in page, part
    assert "ledger" not in events[-1]
    assert 'value="resume"' in events[-1]["actions"]


async def test_the_list_shows_a_new_batch_by_itself(system: System, editor: httpx.AsyncClient) -> None:
    first = await waiting_batch(system)
    second = ""

    async def enough(seen: list[dict[str, str]]) -> bool:
        nonlocal second
        if seen and not second:
            second = await system.start(contacts(1))
        return any("batches" in each for each in seen)

    events = await streamed(editor, f"/console/{system.customer}/batches", enough)
    assert list(events[0]) == [f"batch-{first}"]
    assert second in next(each for each in events if "batches" in each)["batches"]


async def test_the_list_is_filtered_by_its_address_and_has_pages(system: System, editor: httpx.AsyncClient) -> None:
    path = f"/console/{system.customer}/batches"
    assert "No batch yet" in (await editor.get(path)).text
    await system.publish(MAIL)
    for _ in range(27):
        await system.post("batchtrigger/v2", {"entityId": 1})
    running = await waiting_batch(system)
    ids = re.compile(r'<tr id="batch-(b_\w+)"')
    first = await editor.get(path)
    older = re.search(r'<a href="([^"]+)" rel="next">', first.text)
    assert older and len(ids.findall(first.text)) == 25
    rest = await editor.get(unescape(older[1]))
    assert len({*ids.findall(first.text), *ids.findall(rest.text)}) == 28
    assert ids.findall((await editor.get(f"{path}?state=running")).text) == [running]
    assert "No batch is like this" in (await editor.get(f"{path}?journey=77")).text
    wrong = await editor.get(f"{path}?state=runing")
    assert (wrong.status_code, "did you mean running?" in wrong.text) == (400, True)
    assert (await editor.get(f"{path}?journey=x")).status_code == 400


async def test_the_page_shows_a_ledger_that_balances_and_why_rows_were_rejected(
    system: System, editor: httpx.AsyncClient
) -> None:
    await system.publish(EXIT)
    batch = await system.start(contacts(5) + b'nonsense\n\n{"id": ""}\n')
    await system.ended(batch)
    text = (await editor.get(f"/console/{system.customer}/batches/{batch}")).text
    plain = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "8 rows = 5 entered + 2 rejected + 1 blank" in plain
    assert plain.count("✓ balances") == 2
    assert "Not JSON not_json 1" in plain


async def test_every_process_serves_every_page(system: System, editor: httpx.AsyncClient) -> None:
    """Two API processes behind a balancer that takes each in turn."""
    batch = await waiting_batch(system)
    path = f"/console/{system.customer}/batches/{batch}"
    async with browser(system.engine) as other:
        other.cookies = editor.cookies
        assert (await other.post(path, data={"act": "pause"})).status_code == 303
        assert "Resume" in buttons(await editor.get(path))
        assert "Resume" in buttons(await other.get(path))


async def test_calls_are_counted_by_page_and_not_by_what_strangers_try(
    system: System, editor: httpx.AsyncClient
) -> None:
    batch = await waiting_batch(system)
    await editor.get(f"/console/{system.customer}/batches/{batch}")
    for path in ("made-up-1", "static/made-up-2", "1/made-up-3", f"{system.customer}/batches/{batch}/made-up-4"):
        assert (await editor.get(f"/console/{path}")).status_code == 404
    page = (await editor.get("/metrics")).text
    assert 'route="/console/{customer}/batches/{batch}"' in page
    assert "made-up" not in page
