"""The editor of a journey by its addresses and forms: problems, previews, tests to oneself, and publishing."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape

import httpx
import pytest

from caravan.access.audit import entries
from caravan.access.test_sends import MOST
from caravan.access.users import Role
from caravan.console.editing import sample
from caravan.journeys.check import check_journey
from caravan.queries.sandbox import list_messages
from caravan.settings import RELAY_AWAY
from tests.integration.conftest import System
from tests.integration.console.test_console import HOSTILE, browser, buttons, signed_in
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts

LETTER = """
journey: 1
name: Letter
steps:
  - id: letter
    email:
      from: Shop <shop@example.com>
      to: "{{ emailAddress }}"
      subject: "Hello {{ firstname }}"
      text: "Dear {{ firstname }}, {{ city }}"
      html: '<p style="color: red">Dear {{ firstname }}</p><img src="https://elsewhere.example/x.png">'
    next: told
  - id: told
    webhook:
      url: "https://crm.example.com/{{ id }}"
"""
ANA = '{"id": "a", "properties": {"emailAddress": "ana@example.org", "firstname": "Ana"}}'


@pytest.fixture
async def http(idle_system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(idle_system.engine) as http:
        yield http


@pytest.fixture
async def editor(http: httpx.AsyncClient, idle_system: System) -> httpx.AsyncClient:
    await signed_in(http, idle_system)
    return http


def path(system: System, journey: int = 1) -> str:
    return f"/console/{system.customer}/journeys/{journey}/edit"


async def post(http: httpx.AsyncClient, system: System, source: str, **fields: str) -> httpx.Response:
    """Press a button of the editor; browsers end lines with CRLF."""
    form = {"base": "0", "source": source.replace("\n", "\r\n"), "contact": ANA, **fields}
    return await http.post(path(system), data=form)


def plain(page: httpx.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def written(page: httpx.Response) -> str:
    """What stands in the editor."""
    found = re.search(r'<textarea id="source"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL)
    assert found
    return unescape(found[1])


def test_the_sample_can_be_published_as_it_is(idle_system: System) -> None:
    check = check_journey(sample(77), idle_system.engine.journeys.types)
    assert (check.problems, check.warnings) == ([], [])
    assert check.journey is not None and check.journey.journey == 77


async def test_a_new_journey_begins_with_a_free_number_and_a_sample(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    await idle_system.publish(EXIT)
    new = f"/console/{idle_system.customer}/journeys/new"
    assert 'name="number" inputmode="numeric" required value="2"' in (await editor.get(new)).text
    taken = await editor.post(new, data={"number": "1"})
    assert (taken.status_code, "already" in taken.text) == (400, True)
    assert (await editor.post(new, data={"number": "0x7"})).status_code == 400
    assert (await editor.get(path(idle_system, 2**63))).status_code == 404
    answer = await editor.post(new, data={"number": "7"})
    assert (answer.status_code, answer.headers["location"]) == (303, path(idle_system, 7))
    page = await editor.get(path(idle_system, 7))
    assert written(page) == sample(7)
    assert "This journey is new" in page.text


async def test_the_newest_text_is_opened_as_it_was_written(idle_system: System, editor: httpx.AsyncClient) -> None:
    source = "\n\n# kept\n" + EXIT
    await idle_system.publish(source)
    page = await editor.get(path(idle_system))
    assert written(page) == source
    assert 'name="base" value="1"' in page.text
    assert "This text began with version 1" in page.text
    assert buttons(page) == ["Sign out", "Check", "Publish", "Use this contact", "Preview"]
    assert "The journey “Straight out” in 1 step" in page.text


async def test_each_problem_is_told_with_its_line_and_marked_there(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    broken = EXIT.replace("name: Straight out", "nmae: Straight out").replace("exit: {}", "next: nowhere")
    page = await post(editor, idle_system, broken, act="check")
    assert "2 problems" in page.text or "3 problems" in page.text
    assert '<a href="#L3" data-line="3">Line 3</a>' in page.text
    assert '<li id="L3" class="problem"></li>' in page.text
    assert written(page) == broken
    for act in ("publish", "confirm"):
        refused = await post(editor, idle_system, broken, act=act)
        assert (refused.status_code, written(refused)) == (422, broken)
    assert (await idle_system.get("journeys")).json() == []


async def test_the_parts_that_follow_the_text_are_asked_for_while_one_types(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    check = path(idle_system).replace("/edit", "/check")
    page = await editor.get(path(idle_system))
    answer = await editor.post(check, data={"source": sample(1)})
    for part in ("lines", "problems", "picture"):
        found = re.search(rf'<(ol|section) id="{part}".*?</\1>\s', answer.text, re.DOTALL)
        assert found and found[0].strip() in page.text, part
    wrong = await editor.post(check, data={"source": sample(2)})
    assert "the text says 2, but this is journey 1" in wrong.text
    assert '<li id="L1" class="problem">' in wrong.text
    assert (await editor.get(check)).headers["location"] == path(idle_system)


async def test_a_preview_shows_each_message_of_the_contact_and_names_what_is_empty(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    page = await post(editor, idle_system, LETTER, act="preview")
    text = plain(page)
    assert "To ana@example.org Subject Hello Ana Dear Ana," in text
    assert "Empty for this contact: city" in text
    assert "told webhook To https://crm.example.com/a" in text
    assert [each for each in buttons(page) if each.startswith("Send")] == ["Send letter to me"]
    alone = await post(editor, idle_system, LETTER, act="preview", contact='{"firstname": "Bo"}')
    assert "letter email This contact gets no message here" in plain(alone)
    wrong = await post(editor, idle_system, LETTER, act="preview", contact="{")
    assert (wrong.status_code, "The contact can't be used" in unescape(wrong.text)) == (400, True)


async def test_a_message_stands_in_a_frame_where_nothing_of_it_acts_or_loads(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    page = await post(editor, idle_system, LETTER, act="preview")
    frames = re.findall(r"<iframe [^>]*>", page.text)
    assert [re.findall(r'(?:width|sandbox)="\d*"', each) for each in frames] == [
        ['sandbox=""', 'width="640"'],
        ['sandbox=""', 'width="375"'],
    ]
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    frame = path(idle_system).replace("/edit", "/frame")
    shown = await editor.post(frame, data={"source": LETTER, "contact": ANA, "step": "letter"})
    assert shown.text.startswith('<p style="color: red">Dear Ana</p>')
    policy = dict(each.partition(" ")[::2] for each in shown.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["img-src"], policy["frame-ancestors"]) == ("'none'", "data:", "'self'")
    assert policy["sandbox"] == "" and "script-src" not in policy
    assert shown.headers["x-frame-options"] == "SAMEORIGIN"
    missing = await editor.post(frame, data={"source": LETTER, "contact": ANA, "step": HOSTILE})
    assert (missing.status_code, "<img" in missing.text) == (404, False)


async def test_a_contact_of_an_earlier_batch_can_be_used(system: System) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(3))
    await system.until(batch, lambda found: found["ledger"]["entered"] == 3)
    async with browser(system.engine) as http:
        await signed_in(http, system)
        page = await post(http, system, MAIL, base="1", act="pick", contact_id="2")
        assert "To c2@example.com Subject Hello N2" in plain(page)
        unknown = await post(http, system, MAIL, base="1", act="pick", contact_id=HOSTILE)
        assert unknown.status_code == 404
        assert HOSTILE not in unknown.text and HOSTILE in unescape(unknown.text)


async def test_a_test_goes_to_the_visitor_alone_marked_and_with_a_line_of_the_audit_log(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    me = f"editor-{idle_system.customer}@example.com"
    page = await post(editor, idle_system, LETTER, test="letter")
    assert page.status_code == 200, page.text
    assert f"The test of letter was sent to {me}: 250" in plain(page)
    (mail,) = idle_system.sandbox.mails
    assert mail.recipients == [me]
    assert b"Subject: [Test] Hello Ana\r\n" in mail.content
    assert b"Dear Ana" in mail.content
    async with idle_system.engine.pool.connection() as connection:
        newest = (await entries(connection, idle_system.customer))[0]
    assert (newest.actor.name, newest.act, newest.subject) == (me, "send_test", "journey 1")
    assert newest.detail == {"step": "letter", "contact": "a", "to": me}
    other = await post(editor, idle_system, LETTER, test="told")
    assert (other.status_code, "can't be tried on oneself" in unescape(other.text)) == (400, True)
    assert (await post(editor, idle_system, LETTER, test="gone")).status_code == 404


async def test_tests_are_bounded_in_time(idle_system: System, editor: httpx.AsyncClient) -> None:
    at_once = await asyncio.gather(*(post(editor, idle_system, LETTER, test="letter") for _ in range(MOST + 5)))
    assert sorted(each.status_code for each in at_once) == [200] * MOST + [429] * 5
    refused = await post(editor, idle_system, LETTER, test="letter")
    assert (refused.status_code, "try again later" in refused.text) == (429, True)
    assert len(idle_system.sandbox.mails) == MOST
    await idle_system.turn(minutes=11)
    assert (await post(editor, idle_system, LETTER, test="letter")).status_code == 200


async def test_a_relay_that_is_away_is_told_and_leaves_no_trace(idle_system: System) -> None:
    settings = idle_system.engine.settings.model_copy(update={"smtp_url": "smtp://127.0.0.1:1"})
    async with browser(replace(idle_system.engine, settings=settings)) as http:
        await signed_in(http, idle_system)
        page = await post(http, idle_system, LETTER, test="letter")
    assert (page.status_code, "The test of letter to" in page.text) == (502, True)
    assert not (settings.folder / RELAY_AWAY).exists()


async def test_without_a_relay_a_test_is_in_the_sandbox(idle_system: System) -> None:
    settings = idle_system.engine.settings.model_copy(update={"smtp_url": None})
    async with browser(replace(idle_system.engine, settings=settings)) as http:
        await signed_in(http, idle_system)
        page = await post(http, idle_system, LETTER, test="letter")
    assert "No relay is set, so it is in the sandbox and went nowhere. Only the operator sees it there" in plain(page)
    async with idle_system.engine.pool.connection() as connection:
        (kept,) = await list_messages(connection)
    assert kept.subject == "[Test] Hello Ana"


async def test_a_program_can_send_a_test_too(idle_system: System) -> None:
    await idle_system.publish(LETTER)
    body = {"step": "letter", "to": "Me@Example.com", "contact": {"id": "a", "properties": {"firstname": "Ana"}}}
    answer = await idle_system.post("journeys/1/test", body)
    assert (answer.status_code, answer.json()["result"]) == (200, "sent")
    assert [each.recipients for each in idle_system.sandbox.mails] == [["me@example.com"]]
    async with idle_system.engine.pool.connection() as connection:
        newest = (await entries(connection, idle_system.customer))[0]
    assert newest.actor.name == idle_system.token.split("_")[1]
    assert (await idle_system.post("journeys/1/test", body | {"step": "gone"})).status_code == 404
    assert (await idle_system.post("journeys/1/test", body | {"to": "nobody"})).status_code == 400
    assert (await idle_system.post("journeys/1/test", {"step": "letter"})).status_code == 400
    keyed = {"Idempotency-Key": "k"}
    first = await idle_system.post("journeys/1/test", body, **keyed)
    again = await idle_system.post("journeys/1/test", body, **keyed)
    assert (first.json(), len(idle_system.sandbox.mails)) == (again.json(), 2)


async def test_publishing_asks_first_and_names_what_changes_and_whom_it_concerns(
    system: System,
) -> None:
    await system.publish(WAIT)
    batch = await system.start(contacts(3))
    await system.until(batch, lambda found: found["ledger"]["entered"] == 3)
    await system.post("batchtrigger/v2", {"entityId": 1})
    changed = WAIT.replace("3 days", "4 days")
    async with browser(system.engine) as http:
        await signed_in(http, system)
        asked = await post(http, system, changed, base="1", act="publish")
        assert "Confirm" in buttons(asked)
        text = plain(asked)
        assert "Publish “Wait” as version 2?" in text
        assert "What changes Wait days changes. wait 3 days 4 days Whom it concerns" in text
        assert "Version Step Contacts there 1 days 3" in text
        assert "1 batch without a file yet" in text
        assert (await system.get("journeys")).json()[0]["version"] == 1
        done = await post(http, system, changed, base="1", act="confirm")
        assert done.status_code == 303
        page = await http.get(done.headers["location"])
        assert "Version 2 is published" in page.text
        assert written(page) == changed
    async with system.engine.pool.connection() as connection:
        newest = (await entries(connection, system.customer))[0]
    assert (newest.act, newest.subject, newest.detail) == ("publish", "journey 1", {"version": 2})
    assert (await system.batch(batch))["version"] == 1


async def test_a_text_is_not_published_over_one_that_came_meanwhile(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    await idle_system.publish(EXIT)
    await idle_system.publish(WAIT)
    for act in ("publish", "confirm"):
        refused = await post(editor, idle_system, MAIL, base="1", act=act)
        assert refused.status_code == 409
        assert "Version 2 of journey 1 was published meanwhile" in refused.text
        assert written(refused) == MAIL
    over = await idle_system.http.put(idle_system.path("journeys/1?base=1"), content=MAIL)
    assert over.status_code == 409
    assert (await idle_system.get("journeys")).json()[0]["version"] == 2
    assert (await idle_system.http.put(idle_system.path("journeys/1?base=2"), content=MAIL)).json()["version"] == 3
    same = await post(editor, idle_system, MAIL, base="3", act="publish")
    assert (same.status_code, "there is nothing to publish" in same.text) == (400, True)
    async with idle_system.engine.pool.connection() as connection:
        acts = [each.act for each in await entries(connection, idle_system.customer) if each.actor.kind == "user"]
    assert "publish" not in acts


async def test_viewers_neither_write_nor_publish_nor_send(idle_system: System, http: httpx.AsyncClient) -> None:
    await signed_in(http, idle_system, Role.VIEWER)
    await idle_system.publish(EXIT)
    base = path(idle_system).removesuffix("/1/edit")
    for each in ("/1/edit", "/new"):
        assert (await http.get(base + each)).status_code == 403
    for each in ("/1/edit", "/1/check", "/1/frame", "/new"):
        assert (await http.post(base + each, data={"source": MAIL, "act": "confirm", "base": "1"})).status_code == 403
    strange = path(idle_system).replace(f"/{idle_system.customer}/", "/99999/")
    assert (await http.get(strange)).status_code == 404
    assert (await idle_system.get("journeys")).json()[0]["version"] == 1


async def test_hostile_names_and_properties_are_harmless(idle_system: System, editor: httpx.AsyncClient) -> None:
    name = HOSTILE.replace('"', '\\"')
    source = LETTER.replace("name: Letter", f'name: "{name}"').replace("{{ city }}", "{{ city }}</textarea><script>")
    properties = {"<script>": 1, "emailAddress": "a@example.com", "firstname": "<script>x</script>"}
    contact = json.dumps({"id": "</textarea><script>", "properties": properties})
    fields = {"contact": contact, "contact_id": HOSTILE}
    pages = [
        await post(editor, idle_system, source, act="preview", **fields),
        await post(editor, idle_system, source, test="letter", **fields),
        await post(editor, idle_system, source, act="publish", **fields),
        await post(editor, idle_system, source + "  - id: <script>\n    exi: {}\n", act="check", **fields),
        await editor.post(path(idle_system).replace("/edit", "/check"), data={"source": source}),
    ]
    for page in pages:
        assert page.status_code == 200, page.text
        assert "<img src=x" not in page.text
        assert "<script>" not in page.text
    frame = path(idle_system).replace("/edit", "/frame")
    shown = await editor.post(frame, data={"source": source, "contact": contact, "step": "letter"})
    assert "Dear &lt;script&gt;" in shown.text
    assert (await post(editor, idle_system, source, act="confirm", **fields)).status_code == 303
    again = await editor.get(path(idle_system))
    assert "<img src=x" not in again.text and written(again) == source


async def test_a_large_text_is_taken_and_one_that_is_too_large_is_told(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    large = "# " + "ä" * 200_000 + "\n" + EXIT
    assert (await post(editor, idle_system, large, act="check")).status_code == 200
    too_large = await post(editor, idle_system, "# " + "x" * (1 << 20) + "\n" + EXIT, act="check")
    assert "the file is larger than 1 MiB" in too_large.text
    assert (await post(editor, idle_system, "x" * (6 << 20), act="check")).status_code == 413
    nul = '{"journey": 1, "steps": [{"id": "a", "webhook": {"url": "https://x.example", "body": "\\u0000"}}]}'
    for fields in ({"act": "confirm"}, {"test": "a"}, {"act": "preview", "contact": '{"id": "\\u0000"}'}):
        assert (await post(editor, idle_system, nul, **fields)).status_code in (200, 400), fields
    letter = {"test": "letter", "contact": ANA.replace('"a"', '"\\u0000"')}
    assert (await post(editor, idle_system, LETTER, **letter)).status_code in (200, 400)
    assert (await post(editor, idle_system, EXIT, base="x")).status_code == 400
    assert (await post(editor, idle_system, EXIT, act="chekc")).status_code == 400
