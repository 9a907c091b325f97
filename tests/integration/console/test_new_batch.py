"""A new batch in the console: opened, its file taken, looked at, started or discarded."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from html import unescape

import httpx
import pytest

from caravan.access.audit import entries
from caravan.access.users import Role
from caravan.console.guard import HEADERS
from caravan.queries import preflights
from caravan.queries.preflight import Preflight, preflight
from caravan.queries.preflights import Preflights
from tests.integration.conftest import NDJSON, System, working
from tests.integration.console.test_console import HOSTILE, browser, buttons, signed_in, streamed
from tests.integration.engine.test_hold import hold
from tests.integration.journeys_for_tests import EXIT, SPRING, contacts

LETTER = """
journey: 1
name: "Letters"
steps:
  - id: letter
    email:
      from: Shop <shop@example.com>
      to: "{{ emailAddress }}"
      subject: "Hello {{ firstname }}"
      text: "Hello {{ firstname }}"
      html: "<h1>Hello {{ firstname }}</h1><script>alert(5)</script>"
"""


@pytest.fixture
async def http(idle_system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(idle_system.engine) as http:
        yield http


@pytest.fixture
async def editor(http: httpx.AsyncClient, idle_system: System) -> httpx.AsyncClient:
    await signed_in(http, idle_system)
    return http


def new(system: System, batch: str = "") -> str:
    return f"/console/{system.customer}/new" + (f"/{batch}" if batch else "")


async def open_batch(http: httpx.AsyncClient, system: System, **fields: str) -> str:
    """Open a batch of journey 1 by the form; its id."""
    answer = await http.post(new(system), data={"journey": "1", "url": "", **fields})
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(new(system) + "/b_")
    return str(answer.headers["location"].rpartition("/")[2])


async def held(http: httpx.AsyncClient, system: System, content: bytes, **fields: str) -> str:
    """A batch that was opened and given its file by the console; its id once it is read."""
    batch = await open_batch(http, system, **fields)
    page = await http.get(new(system, batch))
    own = re.search(r'<file-upload href="([^"]+)"', page.text)
    assert own
    answer = await http.put(own[1], content=content, headers=NDJSON)
    assert answer.status_code == 200, answer.text
    await system.until(batch, lambda found: found["state"] == "paused")
    return batch


def plain(page: httpx.Response) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", page.text).split()))


async def shown(http: httpx.AsyncClient, path: str, wanted: str) -> str:
    """What a page says as soon as it says this."""
    for _ in range(200):
        if wanted in (text := plain(await http.get(path))):
            return text
        await asyncio.sleep(0.05)
    raise AssertionError(text)


async def acts(system: System) -> list[tuple[str, str]]:
    async with system.engine.pool.connection() as connection:
        found = await entries(connection, system.customer)
        return [(each.act, each.subject) for each in found if each.actor.kind == "user"]


async def test_a_batch_is_opened_filled_looked_at_and_started(system: System, editor: httpx.AsyncClient) -> None:
    await system.publish(SPRING)
    assert "New batch" in buttons(await editor.get(f"/console/{system.customer}/batches"))
    assert "Spring sale · 1</option>" in (await editor.get(new(system))).text
    none = b'{"id": "x", "properties": {"attributeName": "yes"}}\n'
    batch = await held(editor, system, contacts(250) + none + b"nonsense\n" + contacts(1))
    page = await editor.get(new(system, batch))
    text = plain(page)
    assert {"Start", "Discard", "Look up"} <= set(buttons(page))
    assert "251 contacts will enter “Spring sale”, all at once, when you press Start" in text
    assert "Rows 253 Accepted 251 Rejected 2 Duplicates 1" in text
    assert "vip_offer 126 50 %" in text and "offer 125 50 %" in text
    assert "1 contact without a usable recipient" in text
    assert "firstname is empty for 1 contact" in text
    assert text.count("to c1@example.com") == 1 and "N1, this is for you" in text
    assert "252 The row is not JSON" in text and "253 The id '0' was already on line 1" in text
    assert "1 0 emailAddress c0@example.com firstname N0 attributeName no" in text
    assert not system.sandbox.mails
    answer = await editor.post(new(system, batch), data={"act": "start"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/{system.customer}/batches/{batch}")
    await system.until(batch, lambda found: found["ledger"]["steps"][3]["standing"] == 251)
    assert await acts(system) == [(act, f"batch {batch}") for act in ("start", "upload", "open")]
    moved = await editor.get(new(system, batch))
    assert (moved.status_code, moved.headers["location"]) == (303, f"/console/{system.customer}/batches/{batch}")


async def test_it_says_who_leaves_the_journey_on_the_way(system: System, editor: httpx.AsyncClient) -> None:
    await system.publish("exit_when: [{if: attributeName = 'yes'}]\n" + SPRING)
    batch = await held(editor, system, contacts(250))
    text = plain(await editor.get(new(system, batch)))
    assert "vip_offer exited once this is true of them: attributeName = 'yes' 125" in text
    assert "Message: vip_offer 0 contacts come here" in text


async def test_a_batch_may_end_sending_at_a_time(system: System, editor: httpx.AsyncClient) -> None:
    await system.publish(SPRING)
    for wrong, said in (("soon", "expires: "), ("2020-01-01T00:00:00Z", "is over, so nothing would be sent")):
        answer = await editor.post(new(system), data={"journey": "1", "url": "", "expires": wrong})
        assert (answer.status_code, said in plain(answer), f'value="{wrong}"' in answer.text) == (400, True, True)
    batch = await held(editor, system, contacts(3), expires=" 2 days ")
    until = datetime.fromisoformat((await system.batch(batch))["sendsUntil"])
    assert abs(until - system.clock.now() - timedelta(days=2)) < timedelta(minutes=1)
    told = f"nothing is sent after {until:%Y-%m-%d %H:%M}"
    assert told in plain(await editor.get(new(system, batch)))
    assert (await editor.post(new(system, batch), data={"act": "start"})).status_code == 303
    assert told in plain(await editor.get(f"/console/{system.customer}/batches/{batch}"))
    async with system.engine.pool.connection() as connection:
        (opened,) = [each for each in await entries(connection, system.customer) if each.act == "open"]
    assert opened.detail == {"journey": 1, "hold": True, "expires": "2 days"}


async def test_a_discarded_batch_reaches_nobody(system: System, editor: httpx.AsyncClient) -> None:
    await system.publish(SPRING)
    batch = await held(editor, system, contacts(3))
    assert "none of the 3 contacts enters" in plain(await editor.get(new(system, batch)))
    assert (await editor.post(new(system, batch), data={"act": "discard"})).status_code == 303
    found = await system.batch(batch)
    assert (found["state"], found["ledger"]["steps"][0]["outcomes"]) == ("cancelled", {"cancelled": 3})
    assert (await acts(system))[0] == ("discard", f"batch {batch}")
    assert "nobody was reached" in plain(await editor.get(new(system, batch)))
    again = await editor.post(new(system, batch), data={"act": "start"})
    assert (again.status_code, "can't be resumed" in plain(again)) == (409, True)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"journey": ""}, "Choose the journey"),
        ({"journey": HOSTILE}, "Choose the journey"),
        ({"journey": "9" * 30}, "Choose the journey"),
        ({"journey": "77"}, "no journey 77"),
        ({"journey": "1", "url": "ftp://example.com/x"}, "http"),
        ({"journey": "1", "url": HOSTILE}, "http"),
    ],
)
async def test_a_form_that_does_not_fit_opens_nothing_and_is_shown_again_with_a_sentence(
    idle_system: System, editor: httpx.AsyncClient, fields: dict[str, str], sentence: str
) -> None:
    await idle_system.publish(EXIT)
    answer = await editor.post(new(idle_system), data=fields)
    assert (answer.status_code, sentence in plain(answer)) == (400, True), answer.text
    assert "<img src=x" not in answer.text
    assert (await idle_system.get("batches")).json() == []
    assert await acts(idle_system) == []


async def test_where_no_journey_is_published_the_page_says_what_to_do(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    assert "caravan journeys apply" in (await editor.get(new(idle_system))).text


async def test_a_viewer_looks_but_opens_starts_discards_and_uploads_nothing(
    system: System, http: httpx.AsyncClient
) -> None:
    await signed_in(http, system, Role.VIEWER)
    await system.publish(SPRING)
    assert "New batch" not in buttons(await http.get(f"/console/{system.customer}/batches"))
    assert (await http.get(new(system))).status_code == 403
    assert (await http.post(new(system), data={"journey": "1"})).status_code == 403
    opened = (await system.post("batchtrigger/v2", {"entityId": 1, "options": {"hold": True}})).json()
    waits = await http.get(new(system, opened["batchId"]))
    assert (waits.status_code, "/uploads/" in waits.text) == (200, False)
    assert (await http.post(new(system, opened["batchId"]), files={"file": ("c", contacts(1))})).status_code == 403
    batch = await hold(system, contacts(3))
    page = await http.get(new(system, batch))
    assert "when an editor presses Start" in plain(page)
    assert set(buttons(page)) == {"Sign out", "Look up"}
    for act in ("start", "discard"):
        assert (await http.post(new(system, batch), data={"act": act})).status_code == 403
    assert (await system.batch(batch))["state"] == "paused"


async def test_a_file_that_cannot_be_used_is_told_with_the_reason(system: System, editor: httpx.AsyncClient) -> None:
    await system.publish(EXIT)
    batch = await open_batch(editor, system)
    await editor.post(new(system, batch), files={"file": ("c.ndjson", b"nonsense\n")})
    await system.ended(batch)
    text = plain(await editor.get(new(system, batch)))
    assert "The only row can't be used" in text
    assert "begin a new one" in text


async def test_any_contacts_messages_are_looked_up_by_its_id(system: System, editor: httpx.AsyncClient) -> None:
    await system.publish(SPRING)
    batch = await held(editor, system, contacts(250))
    found = plain(await editor.get(new(system, batch), params={"contact": "241"}))
    assert "N241, this is for you to c241@example.com" in found
    assert "Contact 241 does not come here." in found
    missing = await editor.get(new(system, batch), params={"contact": "<b>nobody"})
    assert "has no contact '<b>nobody'" in unescape(missing.text)
    assert "<b>nobody" not in missing.text
    assert "to c1@example.com" in plain(missing)  # and the first ones, as before


async def test_a_message_is_served_for_a_frame_in_which_nothing_runs_or_loads(
    system: System, editor: httpx.AsyncClient
) -> None:
    await system.publish(LETTER)
    batch = await held(editor, system, contacts(2))
    page = await editor.get(new(system, batch))
    frame = re.search(r'<iframe sandbox [^>]*src="([^"]+)"', page.text)
    assert frame and "frame-src 'self'" in page.headers["content-security-policy"]
    answer = await editor.get(unescape(frame[1]))
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"sandbox", "default-src 'none'", "img-src data:", "frame-ancestors 'self'"} <= set(policy)
    assert not any(each.startswith("script-src") for each in policy)
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["x-content-type-options"] == HEADERS["X-Content-Type-Options"]
    assert "<h1>Hello N0</h1>" in answer.text
    assert "alert(5)" not in page.text
    for query in ("step=letter&contact=none", "step=none&contact=0", ""):
        assert (await editor.get(f"{new(system, batch)}/message?{query}")).status_code == 404
    await editor.post(new(system, batch), data={"act": "start"})
    late = await editor.get(unescape(frame[1]))
    assert (late.status_code, late.headers["x-frame-options"]) == (200, "SAMEORIGIN"), "its page may still be loading"
    assert late.text == answer.text


async def test_what_is_hostile_in_contacts_is_shown_as_text(system: System, editor: httpx.AsyncClient) -> None:
    await system.publish(LETTER.replace('"Letters"', f"'{HOSTILE}'"))
    row = {"id": HOSTILE, "properties": {"<script>": "</td><script>alert(1)", "emailAddress": "a@example.com"}}
    row["properties"]["firstname"] = "<script>alert(2)</script>"  # type: ignore[index]
    batch = await held(editor, system, json.dumps(row).encode() + b"\n<script>alert(3)</script>\n")
    review = await editor.get(new(system, batch))
    for page in (review, await editor.get(new(system))):
        assert "<img src=x" not in page.text and "<script>alert" not in page.text and "<script>" not in page.text
        assert HOSTILE in unescape(page.text)
    assert all(text in unescape(review.text) for text in ("</td><script>alert(1)", "<script>alert(3)</script>"))
    frame = re.search(r'<iframe sandbox [^>]*src="([^"]+)"', review.text)
    assert frame
    assert "Hello &lt;script&gt;alert(2)" in (await editor.get(unescape(frame[1]))).text


async def test_the_stream_says_how_far_the_file_is_and_ends_with_what_would_happen(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    system = idle_system
    await system.publish(SPRING)
    batch = await open_batch(editor, system)
    own = re.search(r'<file-upload href="([^"]+)"', (await editor.get(new(system, batch))).text)
    assert own
    stages: list[str] = []
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        reading = asyncio.Event()

        async def enough(seen: list[dict[str, str]]) -> bool:
            if len(seen) == 1 and not stages:
                stages.append("sent")
                await editor.put(own[1], content=contacts(30), headers=NDJSON)
            if any('data-stage="reading"' in each.get("stage", "") for each in seen):
                reading.set()
            return False  # it ends by itself

        async def work() -> None:
            await reading.wait()
            async with working(system):
                await system.until(batch, lambda found: found["state"] == "paused")
                await ended.wait()

        ended = asyncio.Event()
        tasks.create_task(work())
        events = await streamed(editor, new(system, batch), enough)
        ended.set()
    told = re.findall(r'data-stage="(\w+)"', "".join(each.get("stage", "") for each in events))
    assert list(dict.fromkeys(told)) == ["upload", "reading", "held"]
    assert any("30 contacts will enter" in each.get("stage", "") for each in events)
    assert "The first contacts" in events[-1]["review"]
    assert events[-1]["review"].strip() in (await editor.get(new(system, batch))).text


async def test_the_stream_of_a_page_that_shows_a_held_batch_takes_nothing_away(
    system: System, editor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.publish(SPRING)
    batch = await held(editor, system, contacts(30))
    review = (await editor.get(new(system, batch))).text

    async def slow(*asked: object) -> Preflight:
        await asyncio.sleep(0.2)
        return await preflight(*asked)  # type: ignore[arg-type]

    async def never(_: list[dict[str, str]]) -> bool:
        return False

    monkeypatch.setattr(preflights, "preflight", slow)
    monkeypatch.setattr("caravan.console.pages.review._AGAIN", 0.05)
    events = await streamed(editor, new(system, batch), never, b"contact=7")
    reviews = [each["review"] for each in events if "review" in each]
    assert len(reviews) == 1 and "The messages of one contact" in reviews[0]
    assert "The messages of one contact" in review


async def test_a_preflight_is_computed_once_however_often_its_page_is_loaded(
    system: System, editor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.publish(SPRING)
    batch = await held(editor, system, contacts(30))
    computed, go = [], asyncio.Event()

    async def slow(*asked: object) -> Preflight:
        computed.append(asked)
        await go.wait()
        return await preflight(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(preflights, "preflight", slow)
    monkeypatch.setattr("caravan.console.pages.review._SOON", 0.05)
    for _ in range(2):
        page = await editor.get(new(system, batch))
        assert "leads all 30 contacts through the journey" in plain(page)
        assert '<meta http-equiv="refresh"' in page.text  # for those without scripts
        assert "Start" in buttons(page)
    go.set()
    await shown(editor, new(system, batch), "The first contacts")
    assert len(computed) == 1


async def test_a_preflight_that_failed_is_not_kept(system: System) -> None:
    await system.publish(SPRING)
    batch = await hold(system, contacts(3))
    looks = Preflights(system.engine, kept=0.05)
    for _ in range(2):
        with pytest.raises(Exception, match="has no contact"):
            await looks.get(system.customer, batch, "nobody")
    first = await looks.get(system.customer, batch)
    assert await looks.get(system.customer, batch) is first
    await asyncio.sleep(0.2)
    assert await looks.get(system.customer, batch) is not first


async def test_the_page_of_a_held_batch_leads_to_the_look_before_it_starts(
    system: System, editor: httpx.AsyncClient
) -> None:
    await system.publish(SPRING)
    batch = await hold(system, contacts(3))
    path = f"/console/{system.customer}/batches/{batch}"
    link = f'href="{new(system, batch)}">Look before it starts</a>'
    assert link in (await editor.get(path)).text
    await system.post(f"batches/{batch}/resume", {})
    assert link not in (await editor.get(path)).text
