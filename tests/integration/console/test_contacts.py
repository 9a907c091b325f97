"""The page of one contact: what happened to it in every batch, and why."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from caravan.access.users import Role
from caravan.store.customers import add_customer
from tests.integration.conftest import System
from tests.integration.console.test_console import HOSTILE, browser, signed_in
from tests.integration.journeys_for_tests import EXIT
from tests.integration.queries.test_contact import SORTED, row

ODD = """
journey: 3
name: '"><img src=x onerror=alert(1)>'
steps:
  - id: which
    split:
      - if: '"<script>alert(1)</script>" = ''yes'''
        to: out
      - else: mail
  - id: mail
    email: {from: shop@example.com, to: "{{ mail }}", subject: Hello, text: Hello}
    next: out
  - id: out
    exit: {}
"""


@pytest.fixture
async def reader(idle_system: System) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of a viewer."""
    async with browser(idle_system.engine) as http:
        await signed_in(http, idle_system, Role.VIEWER)
        yield http


def words(page: httpx.Response) -> str:
    """What a reader sees."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


async def look_up(http: httpx.AsyncClient, system: System, **query: object) -> httpx.Response:
    return await http.get(f"/console/{system.customer}/contacts", params={k: str(v) for k, v in query.items()})


async def test_without_an_id_the_page_says_what_it_is_for(system: System, reader: httpx.AsyncClient) -> None:
    page = await look_up(reader, system)
    assert page.status_code == 200
    assert 'name="id"' in page.text and ">Look up</button>" in page.text
    assert "What happened to a contact, and why?" in page.text
    assert f'href="/console/{system.customer}/contacts" aria-current="page">Contacts</a>' in page.text


async def test_a_contact_is_shown_in_each_batch_with_what_decided(system: System, reader: httpx.AsyncClient) -> None:
    await system.publish(EXIT)
    await system.publish(SORTED, 2)
    first = await system.start(row("c/7", n=1))
    await system.ended(first)
    second = await system.start(row("c/7", score="many", since="2001-02-03", mail="a@example.com"), 2)
    await system.ended(second)
    page = await look_up(reader, system, id="c/7")
    text = words(page)
    assert page.status_code == 200
    assert "2 entries in all 2 batches whose contacts are kept." in text
    assert text.index(first) < text.index(second)
    assert "score is “many”, which can't be read as a number and so matches nothing" in text
    assert "since is “2001-02-03”, read as time 2001-02-03T00:00:00+00:00" in text
    assert "if since < now() - interval 1 day → deal decided is true" in text
    assert "if vip is null → deal an earlier one had decided" in text
    assert "weight 3 → mail" in text and "from 25.0 % to 100.0 %" in text
    share = re.search(r"The hash of this contact and this step stands at ([\d.]+) %", text)
    entries = (await system.get("contacts/c%2F7")).json()["entries"]
    deal = next(each for each in entries[1]["stays"] if each["step"] == "deal")
    assert share and float(share[1]) == round(100 * deal["why"]["share"], 1)
    assert (deal["why"]["share"] >= 0.25) == (deal["why"]["decided"] == 1)


async def test_a_message_shows_what_the_other_side_answered(system: System, reader: httpx.AsyncClient) -> None:
    await system.publish(ODD, 3)
    batch = await system.start(row("a", mail="a@example.com"), 3)
    await system.ended(batch)
    (entry,) = (await system.get("contacts/a")).json()["entries"]
    answer = next(each["detail"] for each in entry["stays"] if each["step"] == "mail")
    assert answer.startswith("250")
    assert f"Answer: {answer}" in words(await look_up(reader, system, id="a"))


async def test_hostile_ids_properties_and_names_are_shown_as_text(system: System, reader: httpx.AsyncClient) -> None:
    await system.publish(ODD, 3)
    hostile = {"<script>alert(1)</script>": "<script>alert(2)</script>", "mail": "a@example.com"}
    batch = await system.start(row(HOSTILE, **hostile), 3)
    await system.ended(batch)
    page = await look_up(reader, system, id=HOSTILE)
    assert page.status_code == 200
    assert "<img src=x" not in page.text and "<script>alert" not in page.text
    assert unescape(page.text).count(HOSTILE) >= 2  # in the field and as the journey's name
    assert "is the text “<script>alert(2)</script>”" in unescape(page.text)
    unknown = await look_up(reader, system, id="<script>alert(3)</script>")
    assert unknown.status_code == 404 and "<script>alert" not in unknown.text


async def test_an_unknown_id_is_told_with_what_was_looked_through(system: System, reader: httpx.AsyncClient) -> None:
    await system.publish(EXIT)
    await system.ended(await system.start(row("here")))
    page = await look_up(reader, system, id="elsewhere")
    assert page.status_code == 404
    assert "No contact 'elsewhere' entered the only batch of this customer whose contacts are kept." in words(page)
    assert 'value="elsewhere"' in page.text
    long = await look_up(reader, system, id="x" * 300)
    assert "An id has at most 256 characters; this one has 300." in words(long)


async def test_how_far_was_looked_is_said_and_can_be_changed(system: System, reader: httpx.AsyncClient) -> None:
    await system.publish(EXIT)
    for _ in range(3):
        await system.ended(await system.start(row("a&b")))
    page = await look_up(reader, system, id="a&b", batches=2)
    assert "2 entries in the newest 2 of 3 batches whose contacts are kept." in words(page)
    further = re.search(r'<a href="([^"]+)">Look through the newest 1,000</a>', page.text)
    assert further
    assert "3 entries in all 3 batches" in words(await reader.get(unescape(further[1])))
    unknown = await look_up(reader, system, id="c", batches=2)
    assert unknown.status_code == 404 and "the newest 2 batches of this customer, of 3" in words(unknown)
    assert ">Look through the newest 1,000</a>" in unknown.text
    all_of_them = await look_up(reader, system, id="c", batches=1_000)
    assert "any of the 3 batches of this customer" in words(all_of_them) and "Look through" not in all_of_them.text
    for wrong in ("0", "1001", "many", "-1"):
        assert (await look_up(reader, system, id="a", batches=wrong)).status_code == 400


async def test_contacts_of_other_customers_are_not_found(system: System, reader: httpx.AsyncClient) -> None:
    async with system.engine.pool.connection() as connection:
        other = await add_customer(connection, f"other {system.customer}", system.clock.now())
    assert (await reader.get(f"/console/{other}/contacts?id=a")).status_code == 404


async def test_properties_are_shown_as_they_came(system: System, reader: httpx.AsyncClient) -> None:
    await system.publish(EXIT)
    properties = {"name": "Jörg", "tags": ["a", {"b": None}]}
    await system.ended(await system.start(row("a", **properties)))
    page = await look_up(reader, system, id="a")
    shown = re.search(r"<pre[^>]*>(.*?)</pre>", page.text, re.DOTALL)
    assert shown and json.loads(unescape(shown[1])) == properties


async def test_of_very_many_entries_the_newest_are_shown(
    system: System, reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caravan.console.pages.contacts._SHOWN", 2)
    await system.publish(EXIT)
    started = [await system.start(row("a")) for _ in range(3)]
    for batch in started:
        await system.ended(batch)
    page = await look_up(reader, system, id="a")
    assert "3 entries in all 3 batches" in words(page)
    assert "The newest 2 of them are shown" in words(page)
    assert [batch in page.text for batch in started].count(True) == 2


async def test_an_owner_has_a_contact_forgotten(system: System) -> None:
    await system.publish(EXIT)
    await system.ended(await system.start(b'{"id": "anna", "properties": {"city": "Oslo"}}\n{"id": "bo"}\n'))
    async with browser(system.engine) as http:
        await signed_in(http, system, Role.OWNER)
        page = await look_up(http, system, id="anna")
        assert f'href="/console/{system.customer}/contacts/forget?id=anna">Forget this contact</a>' in page.text
        forget = f"/console/{system.customer}/contacts/forget"
        assert "Forget anna?" in words(await http.get(forget, params={"id": "anna"}))
        done = await http.post(forget, data={"id": "anna"})
        assert done.status_code == 303
        async with asyncio.timeout(60):
            while "was forgotten" not in (told := words(await http.get(done.headers["location"]))):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert "rows" in told
        assert (await look_up(http, system, id="anna")).status_code == 404
        assert (await look_up(http, system, id="bo")).status_code == 200
        assert (await http.get(forget, params={"erasure": "x"})).status_code == 400
        assert (await http.get(forget, params={"erasure": "99"})).status_code == 404
        assert (await http.post(forget, data={"id": ""})).status_code == 400
    (entry,) = [each for each in await system.lines("audit") if each["act"] == "forget_contact"]
    assert entry["subject"].startswith("erasure ")
    async with browser(system.engine) as http:
        await signed_in(http, system, Role.EDITOR)
        assert (await http.get(forget, params={"id": "bo"})).status_code == 403
        assert (await http.post(forget, data={"id": "bo"})).status_code == 403
        assert "Forget this contact" not in (await look_up(http, system, id="bo")).text
