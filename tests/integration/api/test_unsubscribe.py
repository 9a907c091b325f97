"""Recipients unsubscribe: by the link in a mail or by one click, in their own language, and only by a POST."""

import re
from collections.abc import AsyncIterator
from email import message_from_bytes
from html import unescape
from typing import Any

import httpx
import pytest

from caravan.channels.sandbox import Sandbox
from caravan.settings import Settings
from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import contacts

BASE = "https://mail.example.com"
NEWS = """
journey: 1
name: News of the week
steps:
  - id: mail
    email:
      topic: Spring offers
      from: Shop <shop@example.com>
      to: "{{ emailAddress }}"
      subject: Hello
      text: "Hello {{ firstname }}. Stop: {{ unsubscribe_url }}"
      html: '<p>Hello {{ firstname }}</p><a href="{{ unsubscribe_url }}">Unsubscribe</a>'
"""
PLAIN = NEWS.replace("      topic: Spring offers\n", "")
RECEIPT = PLAIN.replace("      from:", "      transactional: true\n      from:")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def system(settings: Settings, sandbox: Sandbox) -> AsyncIterator[System]:
    update = {"smtp_url": sandbox.url, "public_url": BASE}
    async with open_house(settings.model_copy(update=update), sandbox) as system, working(system):
        yield system


async def _sent(system: System, definition: str, people: bytes, count: int | None = None) -> tuple[str, list[bytes]]:
    """A batch that has ended, and the mails as they went over the wire, by their recipients."""
    await system.publish(definition)
    batch = await system.start(people)
    await system.ended(batch)
    mails = sorted(system.sandbox.mails, key=lambda mail: mail.recipients[0])
    assert len(mails) == (count if count is not None else people.count(b"\n"))
    return batch, [mail.content for mail in mails]


def _header(content: bytes, name: str) -> list[str]:
    """The lines of a header as they stand on the wire, folded ones with what follows."""
    head = content.partition(b"\r\n\r\n")[0].decode("ascii")
    return re.findall(rf"^{name}: ([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r?$", head, re.MULTILINE)


def _path(content: bytes) -> str:
    (found,) = _header(content, "List-Unsubscribe")
    assert found.startswith(f"<{BASE}/u/") and found.endswith(">")
    return found[1:-1].removeprefix(BASE)


async def _stops(system: System) -> set[tuple[str, str, str, str]]:
    async with system.engine.pool.connection() as connection:
        found = await connection.execute(
            "select address, topic, reason, source from suppressions where customer_id = %s", (system.customer,)
        )
        return {tuple(each.values()) for each in await found.fetchall()}  # type: ignore[misc]


def _fresh(system: System) -> httpx.AsyncClient:
    """A client without cookies and without a token."""
    return httpx.AsyncClient(transport=system.http._transport, base_url="http://caravan.test")


async def test_the_headers_are_one_line_each_and_neither_folded_nor_encoded(system: System) -> None:
    _, (content,) = await _sent(system, NEWS, contacts(1))
    (unsubscribe,) = _header(content, "List-Unsubscribe")
    assert re.fullmatch(rf"<{re.escape(BASE)}/u/[0-9a-v]{{20,48}}>", unsubscribe)
    assert _header(content, "List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
    assert _header(content, "List-Id") == [f"<spring-offers.c{system.customer}.example.com>"]
    key = unsubscribe[1:-1].rpartition("/")[2]
    assert _header(content, "Message-ID") == [f"<{key}@example.com>"]


async def test_the_link_stands_in_text_and_html(system: System) -> None:
    _, (content,) = await _sent(system, NEWS, contacts(1))
    url = BASE + _path(content)
    parts = {part.get_content_type(): part.get_payload(decode=True) for part in message_from_bytes(content).walk()}
    assert f"Stop: {url}" in parts["text/plain"].decode()  # type: ignore[union-attr]
    assert f'<a href="{url}">' in parts["text/html"].decode()  # type: ignore[union-attr]


async def test_a_transactional_mail_has_no_list_headers(system: System) -> None:
    _, (content,) = await _sent(system, RECEIPT, contacts(1))
    for name in ("List-Unsubscribe", "List-Unsubscribe-Post", "List-Id"):
        assert _header(content, name) == []


async def test_a_property_of_the_same_name_does_not_become_the_link(system: System) -> None:
    person = b'{"id": "1", "properties": {"emailAddress": "a@example.com", "unsubscribe_url": "https://evil.test"}}\n'
    _, (content,) = await _sent(system, NEWS, person)
    assert b"evil.test" not in content


async def test_whatever_a_scanner_does_with_the_links_of_a_mail_changes_nothing(system: System) -> None:
    _, (content,) = await _sent(system, NEWS, contacts(1))
    urls = {
        each.decode() for each in re.findall(rb"https://mail\.example\.com[^\s\"<>]+", content.replace(b"=\r\n", b""))
    }
    async with _fresh(system) as scanner:
        for url in urls:
            for method in ("HEAD", "GET", "OPTIONS", "PUT", "DELETE"):
                for headers in ({}, {"Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}):
                    answer = await scanner.request(method, url.removeprefix(BASE), headers=headers)
                    assert answer.status_code in (200, 405)
                    assert "set-cookie" not in answer.headers
    assert await _stops(system) == set()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"List-Unsubscribe=One-Click", FORM["Content-Type"]),
        (
            b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
    ],
)
async def test_one_click_unsubscribes_without_cookie_login_or_redirect(system: System, body: bytes, kind: str) -> None:
    batch, (content,) = await _sent(system, NEWS, contacts(1))
    async with _fresh(system) as client:
        answer = await client.post(
            _path(content).upper().replace("/U/", "/u/"), content=body, headers={"Content-Type": kind}
        )
    assert answer.status_code == 200 and not answer.history
    assert "set-cookie" not in answer.headers
    assert await _stops(system) == {("c0@example.com", "Spring offers", "unsubscribed", "one_click")}
    async with system.engine.pool.connection() as connection:
        found = await (await connection.execute("select who, detail from suppressions")).fetchone()
    assert found == {"who": "recipient", "detail": f"batch {batch}, step mail"}
    system.sandbox.mails.clear()
    await _sent(system, NEWS, contacts(1), 0)


async def test_the_page_asks_once_does_it_and_takes_it_back(system: System) -> None:
    _, (content,) = await _sent(system, NEWS, contacts(1))
    path = _path(content)
    async with _fresh(system) as client:
        page = await client.get(path)
        assert page.status_code == 200
        assert "Spring offers" in page.text and "test " in page.text and "c…@example.com" in page.text
        assert _buttons(page) == ["topic", "all"]
        page = await client.post(path, data={"act": "topic"})
        assert page.status_code == 200 and "You are unsubscribed" in page.text
        assert _buttons(page) == ["undo", "all"]
        assert "You are unsubscribed already" in (await client.get(path)).text
        page = await client.post(path, data={"act": "undo"})
        assert "You are subscribed again" in page.text
        assert await _stops(system) == set()
        await client.post(path, data={"act": "all"})
        assert await _stops(system) == {("c0@example.com", "", "unsubscribed", "page")}
        await client.post(path, data={"act": "undo"})
    assert await _stops(system) == set()
    async with system.engine.pool.connection() as connection:
        lifted = await (
            await connection.execute("select topic, lifted_by from lifted_suppressions order by id")
        ).fetchall()
    assert [tuple(each.values()) for each in lifted] == [("Spring offers", "recipient"), ("", "recipient")]


def _buttons(page: httpx.Response) -> list[str]:
    return re.findall(r'<button [^>]*value="(\w+)"', page.text)


async def test_taking_it_back_lifts_nothing_that_others_suppressed(system: System) -> None:
    _, (content,) = await _sent(system, NEWS, contacts(1))
    async with system.engine.pool.connection() as connection:
        await connection.execute(
            "insert into suppressions (customer_id, channel, address, reason, source, who, at) "
            "values (%s, 'email', 'c0@example.com', 'complaint', 'api', 'token t', now())",
            (system.customer,),
        )
    async with _fresh(system) as client:
        await client.post(_path(content), data={"act": "undo"})
    assert await _stops(system) == {("c0@example.com", "", "complaint", "api")}


@pytest.mark.parametrize("what", ["nonsense", "1" * 48, "%00", "a/b", "ü" * 20, "x" * 4000])
async def test_a_key_that_is_none_gets_a_kind_page_and_404(system: System, what: str) -> None:
    async with _fresh(system) as client:
        for answer in (await client.get(f"/u/{what}"), await client.post(f"/u/{what}", data={"act": "all"})):
            assert answer.status_code == 404
            if "/" not in what:
                assert "This link does not work" in answer.text


async def test_a_tampered_key_changes_nothing(system: System) -> None:
    _, mails = await _sent(system, NEWS, contacts(2))
    path = _path(mails[0])
    async with _fresh(system) as client:
        for place in range(3, len(path)):
            other = "0" if path[place] != "0" else "1"
            answer = await client.post(path[:place] + other + path[place + 1 :], data={"act": "all"})
            assert answer.status_code == 404
    assert await _stops(system) == set()


async def test_each_key_leads_to_its_own_recipient_also_after_the_batch_was_swept(system: System) -> None:
    from caravan.engine.retention import sweep

    _, mails = await _sent(system, PLAIN, contacts(250))
    await system.turn(hours=30)
    await sweep(system.engine)
    async with _fresh(system) as client:
        for content in mails[::25]:
            to = str(message_from_bytes(content)["To"])
            assert (await client.post(_path(content), data={})).status_code == 200
            assert to in {each[0] for each in await _stops(system)}
    assert len(await _stops(system)) == 10


async def test_a_forgotten_batch_says_so_plainly(system: System) -> None:
    batch, (content,) = await _sent(system, PLAIN, contacts(1))
    assert (await system.post(f"batches/{batch}/forget", {})).status_code == 200
    async with _fresh(system) as client:
        answer = await client.post(_path(content), data={})
    assert answer.status_code == 410
    assert "This message is too old" in answer.text and "has deleted whom it went to" in answer.text


@pytest.mark.parametrize(
    ("locale", "accepted", "language", "words"),
    [
        ("sv-SE", "de", "sv", "Avsluta"),
        ("de_AT", "", "de", "Abbestellen"),
        ("fr", "", "fr", "Se désabonner"),
        ("es-MX", "", "es", "Darse de baja"),
        ("pt-BR", "fr;q=0.3, de;q=0.9", "de", "Abbestellen"),
        (None, "es-ES,es;q=0.9,en;q=0.8", "es", "Darse de baja"),
        (None, "ja, *", "en", "Unsubscribe"),
    ],
)
async def test_the_page_is_in_the_recipients_language(
    system: System, locale: str | None, accepted: str, language: str, words: str
) -> None:
    said = f', "locale": "{locale}"' if locale else ""
    person = f'{{"id": "1", "properties": {{"emailAddress": "a@example.com"{said}}}}}\n'.encode()
    _, (content,) = await _sent(system, PLAIN, person)
    async with _fresh(system) as client:
        page = await client.get(_path(content), headers={"Accept-Language": accepted})
    assert f'<html lang="{language}">' in page.text and words in page.text
    assert page.headers["content-language"] == language


async def test_hostile_names_are_shown_and_do_nothing(system: System) -> None:
    hostile = '"><script>alert(1)</script>{topic}'
    async with system.engine.pool.connection() as connection:
        await connection.execute("update customers set name = %s where id = %s", (hostile, system.customer))
    definition = NEWS.replace("topic: Spring offers", "topic: '<img src=x onerror=alert(1)>'")
    _, (content,) = await _sent(system, definition, contacts(1))
    async with _fresh(system) as client:
        page = await client.get(_path(content))
    assert "<script" not in page.text and "<img" not in page.text
    assert hostile in unescape(page.text)


async def test_the_page_runs_nothing_and_is_kept_and_framed_by_nobody(system: System) -> None:
    _, (content,) = await _sent(system, NEWS, contacts(1))
    async with _fresh(system) as client:
        page = await client.get(_path(content))
        style = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert f"'sha256-{_digest(style[0])}'" in policy
    assert page.headers["cache-control"] == "no-store" and page.headers["referrer-policy"] == "no-referrer"
    assert "<script" not in page.text and "style=" not in page.text


def _digest(text: str) -> str:
    import base64
    import hashlib

    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


async def test_asking_again_and_again_reads_the_files_once(system: System, monkeypatch: Any) -> None:
    _, (content,) = await _sent(system, NEWS, contacts(1))
    opened: list[str] = []
    local = type(system.engine.files).local

    def counted(self: Any, name: str, *rest: Any) -> Any:
        opened.append(name)
        return local(self, name, *rest)

    monkeypatch.setattr(type(system.engine.files), "local", counted)
    async with _fresh(system) as client:
        for _ in range(20):
            assert (await client.get(_path(content))).status_code == 200
        for _ in range(20):
            assert (await client.get(f"/u/{'1' * 40}")).status_code == 404
    assert len(opened) == 1


async def test_without_a_public_address_a_message_that_links_there_waits_and_says_why(
    settings: Settings, sandbox: Sandbox
) -> None:
    async with open_house(settings.model_copy(update={"smtp_url": sandbox.url}), sandbox) as system, working(system):
        await system.publish(NEWS)
        batch = await system.start(contacts(1))
        found = await system.until(batch, lambda b: "CARAVAN_PUBLIC_URL" in str(b["waitingFor"]))
        assert found["ledger"]["steps"][0]["standing"] == 1
        await system.publish(NEWS.replace("{{ unsubscribe_url }}", ""), 1)
        await system.ended(await system.start(contacts(1)))
    (mail,) = sandbox.mails
    assert _header(mail.content, "List-Unsubscribe") == []
