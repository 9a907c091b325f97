"""Opens and clicks: the mail on the wire, where its links lead, and what is made of those who follow them."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from email import message_from_bytes
from typing import Any

import httpx
import pytest

from caravan.channels.sandbox import Sandbox
from caravan.engine.hits import HitWriter
from caravan.settings import Settings
from tests.integration.conftest import System, open_house, working

BASE = "https://mail.example.com"
MAIL = """
journey: 1
name: Spring
steps:
  - id: mail
    email:
      from: Shop <shop@example.com>
      to: "{{ emailAddress }}"
      subject: Hello
      track: [opens, clicks]
      text: |
        Shop: https://shop.example.com/spring?a=1&b=2, yours: https://shop.example.com/{{ id }}/{{ path }}.
        Mail mailto:shop@example.com, leave {{ unsubscribe_url }}
      html: |
        <html><body><a href="https://shop.example.com/spring?a=1&amp;b=2">Shop</a>
        <a href='{{ link }}'>Yours</a> <a href="mailto:shop@example.com">Mail</a> <a href="tel:+46">Tel</a>
        <a href="#top">Top</a> <a href="{{ unsubscribe_url }}">Leave</a>
        <a href="https://two.example.com">2</a><a href="https://three.example.com/#part">3</a></body></html>
"""
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
ODD = "https://other.example.com/ä?q=%2F&r='\"<b>&x=" + "y" * 300


def _person(number: int = 1, link: str = ODD, path: str = "p") -> bytes:
    import json

    mail = f"c{number}@example.com"
    return json.dumps({"id": f"c-{number}", "properties": {"emailAddress": mail, "link": link, "path": path}}).encode()


@pytest.fixture
async def system(settings: Settings, sandbox: Sandbox) -> AsyncIterator[System]:
    update = {"smtp_url": sandbox.url, "public_url": BASE}
    async with open_house(settings.model_copy(update=update), sandbox) as system, working(system):
        yield system


@pytest.fixture
async def visitor(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a token, who follows no redirect."""
    async with httpx.AsyncClient(transport=system.http._transport, base_url=BASE, headers=BROWSER) as visitor:
        yield visitor


async def _sent(system: System, people: bytes, definition: str = MAIL) -> tuple[str, str, str]:
    """The batch, and text and page of its first mail."""
    await system.publish(definition)
    batch = await system.start(people)
    await system.ended(batch)
    message = message_from_bytes(min(system.sandbox.mails, key=lambda mail: mail.recipients[0]).content)
    parts = {part.get_content_type(): part.get_payload(decode=True) for part in message.walk()}
    return batch, *(parts[kind].decode().replace("\r\n", "\n") for kind in ("text/plain", "text/html"))  # type: ignore[union-attr, return-value]


def _hrefs(page: str) -> list[str]:
    return re.findall(r"href=[\"']([^\"']*)[\"']", page)


async def _judged(system: System) -> list[dict[str, Any]]:
    """The events, once all hits are judged."""
    writer: HitWriter = system.http._transport.app.state.hits  # type: ignore[attr-defined]
    await writer.written()
    await system.turn(seconds=3)
    async with system.engine.pool.connection() as connection:
        for _ in range(200):
            left = await (await connection.execute("select count(*) as n from hits where verdict is null")).fetchone()
            if left and left["n"] == 0:
                break
            await asyncio.sleep(0.05)
        found = await connection.execute(
            "select contact, name, properties::jsonb as properties, source, batch_id, step from events "
            "where customer_id = %s order by id", (system.customer,)
        )  # fmt: skip
        return list(await found.fetchall())


async def test_each_link_leads_where_it_says_in_text_and_page(system: System, visitor: httpx.AsyncClient) -> None:
    _, text, page = await _sent(system, _person())
    hrefs = _hrefs(page)
    assert hrefs[2:5] == ["mailto:shop@example.com", "tel:+46", "#top"]
    assert hrefs[5].startswith(f"{BASE}/u/")
    leads = [(await visitor.get(hrefs[place])).headers["location"] for place in (0, 1, 6, 7)]
    assert leads == [
        "https://shop.example.com/spring?a=1&b=2",
        "https://other.example.com/%C3%A4?q=%2F&r='%22%3Cb%3E&x=" + "y" * 300,
        "https://two.example.com",
        "https://three.example.com/#part",
    ]
    first, own = re.findall(rf"{BASE}/c/[\w/-]+", text)
    assert first == hrefs[0]
    assert (await visitor.get(own)).headers["location"] == "https://shop.example.com/c-1/p"
    assert f"leave {hrefs[5]}" in text
    assert f"{own}.\n" in text


async def test_the_answers_are_redirects_that_nobody_keeps_and_an_image(
    system: System, visitor: httpx.AsyncClient
) -> None:
    _, _, page = await _sent(system, _person())
    answer = await visitor.get(_hrefs(page)[0])
    assert answer.status_code == 302
    (image,) = re.findall(r'<img src="([^"]+)" width="1" height="1" alt=""[^>]*></body>', page)
    shown = await visitor.get(image)
    assert (shown.status_code, shown.headers["content-type"], shown.content[:6]) == (200, "image/gif", b"GIF89a")
    for each in (answer, shown):
        assert (each.headers["cache-control"], each.headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert "set-cookie" not in each.headers


@pytest.mark.parametrize("change", ["key", "link", "sign", "target", "none"])
async def test_a_forged_url_leads_nowhere(system: System, visitor: httpx.AsyncClient, change: str) -> None:
    _, _, page = await _sent(system, _person())
    *start, key, when, link, end = _hrefs(page)[1].split("/")
    match change:
        case "key":
            key = key[:-1] + ("0" if key[-1] != "0" else "1")
        case "link":
            link = "0" * 8
        case "sign":
            end = ("0" if end[0] != "0" else "1") + end[1:]
        case "target":
            end = end[:12] + "aHR0cHM6Ly9ldmlsLmV4YW1wbGU"
        case "none":
            end = ""
    answer = await visitor.get("/".join([*start, key, when, link, end]))
    assert answer.status_code == 404
    assert "location" not in answer.headers
    image = await visitor.get(f"/o/{key}/{when}")
    assert image.status_code == (404 if change == "key" else 200)
    assert await _judged(system) == [] or change != "key"


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", " java\tscript:alert(1)", "data:text/html,x", "https://a.example\r\nSet-Cookie: a=b",
     "https://a.example/ b", "//a.example", "ftp://a.example", "", "https://", "https://a.example/\u2028"],
)  # fmt: skip
async def test_a_hostile_link_becomes_no_redirect(system: System, visitor: httpx.AsyncClient, link: str) -> None:
    _, _, page = await _sent(system, _person(link=link, path="a\r\n b"))
    href = _hrefs(page)[1]
    assert "/c/" not in href
    assert "script:" not in href
    assert "data:" not in href
    content = system.sandbox.mails[0].content
    assert b"\r\nSet-Cookie" not in content.partition(b"\r\n\r\n")[0]


async def test_a_person_is_told_from_a_machine(system: System, visitor: httpx.AsyncClient) -> None:
    batch, _, page = await _sent(system, _person(1) + b"\n" + _person(2))
    hrefs = _hrefs(page)
    await system.turn(minutes=5)
    await visitor.get(hrefs[0])
    await visitor.get(re.findall(r'<img src="([^"]+)"', page)[0], headers={"User-Agent": "Mozilla/5.0"})
    found = await _judged(system)
    assert [(each["contact"], each["name"], each["properties"]["verdict"], each["step"]) for each in found] == [
        ("c-1", "clicked", "human", "mail"),
        ("c-1", "opened", "machine", "mail"),
    ]
    assert found[0]["properties"]["url"] == "https://shop.example.com/spring?a=1&b=2"
    assert "Apple" in found[1]["properties"]["because"]
    await visitor.get(hrefs[0])  # once more: the same event
    await system.turn(minutes=1)
    for place in (0, 6, 7):
        await visitor.get(hrefs[place])
    found = await _judged(system)
    assert [each["properties"]["verdict"] for each in found[2:]] == ["machine"] * 3
    assert "3 links" in found[2]["properties"]["because"]
    assert (await system.get(f"batches/{batch}/came-back")).json() == [
        {"step": "mail", "event": "clicked", "events": 4, "verdicts": {"human": 1, "machine": 3}},
        {"step": "mail", "event": "opened", "events": 1, "verdicts": {"machine": 1}},
    ]
    assert (await system.get("batches/b_00000000000000000000/came-back")).status_code == 404


async def test_head_counts_nothing_and_speaks_against_who_comes_after(
    system: System, visitor: httpx.AsyncClient
) -> None:
    _, _, page = await _sent(system, _person())
    await system.turn(minutes=5)
    assert (await visitor.head(_hrefs(page)[0])).status_code == 302
    assert await _judged(system) == []
    await visitor.get(_hrefs(page)[6])
    (found,) = await _judged(system)
    assert (found["properties"]["verdict"], found["properties"]["because"]) == ("machine", "a HEAD came before it")


async def test_who_comes_as_soon_as_the_mail_is_a_machine(system: System, visitor: httpx.AsyncClient) -> None:
    _, _, page = await _sent(system, _person())
    await visitor.get(_hrefs(page)[0])
    (found,) = await _judged(system)
    assert found["properties"]["verdict"] == "machine"
    assert "after the message was written" in found["properties"]["because"]


async def test_scanners_change_no_subscription_whatever_they_do(system: System, visitor: httpx.AsyncClient) -> None:
    _, text, page = await _sent(system, _person())
    for url in set(re.findall(rf"{BASE}/[\w/-]+", text + page)):
        for method in ("HEAD", "GET", "OPTIONS", "PUT", "DELETE"):
            for headers in ({}, {"Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}):
                answer = await visitor.request(method, url, headers=headers)
                assert answer.status_code in (200, 302, 405)
    async with system.engine.pool.connection() as connection:
        found = await connection.execute("select from suppressions where customer_id = %s", (system.customer,))
        assert await found.fetchone() is None
    assert {each["properties"]["verdict"] for each in await _judged(system)} == {"machine"}


async def test_a_step_that_tracks_nothing_has_its_links_as_they_are(system: System, visitor: httpx.AsyncClient) -> None:
    _, text, page = await _sent(system, _person(), MAIL.replace("      track: [opens, clicks]\n", ""))
    assert f"{BASE}/c/" not in text + page
    assert "<img" not in page
    key = _hrefs(page)[5].rpartition("/")[2]
    assert (await visitor.get(f"/o/{key}")).status_code == 404


async def test_a_redirect_takes_less_than_five_milliseconds_also_while_nothing_can_be_noted(
    system: System, visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, page = await _sent(system, _person())
    await visitor.get(_hrefs(page)[0])

    async def away(*_: object) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr("caravan.store.hits.add", away)
    took = []
    for number in range(30):
        begin = time.perf_counter()
        answer = await visitor.get(_hrefs(page)[0], headers={"User-Agent": f"{BROWSER['User-Agent']} {number}"})
        took.append(time.perf_counter() - begin)
        assert answer.status_code == 302
    assert min(took) < 0.005  # of the fastest: others may have run beside
    monkeypatch.undo()
    assert len(await _judged(system)) >= 1
