"""The sandbox's pages: whose mails are seen by whom, and that a mail's HTML can do no harm."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape

import httpx
import pytest

from caravan.access.audit import entries
from caravan.access.users import Role, add_user, first_user
from caravan.channels.mail import Mail
from caravan.channels.mail_sandbox import MailSandbox
from caravan.channels.sandbox import Sandbox
from caravan.console.guard import HEADERS
from caravan.engine.engine import Engine
from caravan.engine.retention import forget
from caravan.queries import sandbox as kept
from caravan.settings import Settings
from caravan.store.customers import add_customer
from caravan.store.sandbox import SandboxStore
from tests.integration.conftest import System, open_house, working
from tests.integration.console.test_console import HOSTILE, PASSWORD, browser, buttons, sign_in, signed_in
from tests.integration.journeys_for_tests import contacts

HTML_MAIL = """
journey: 1
name: One mail
steps:
  - id: mail
    email:
      from: shop@example.com
      to: "{{ emailAddress }}"
      subject: '"><img src=x onerror=alert(1)>'
      text: "<script>alert(2)</script>"
      html: "<h1 id=seen>Dear {{ id }}</h1><script>alert(3)</script><img src='https://elsewhere.test/pixel'>"
"""


@pytest.fixture
async def house(settings: Settings, sandbox: Sandbox) -> AsyncIterator[System]:
    """A system with a worker and no relay."""
    async with open_house(settings, sandbox) as system, working(system):
        yield system


@pytest.fixture
async def viewer(house: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(house.engine) as http:
        await signed_in(http, house, Role.VIEWER)
        yield http


async def as_operator(engine: Engine, http: httpx.AsyncClient) -> httpx.AsyncClient:
    """Sign in as the operator of an installation that has no user yet."""
    async with engine.pool.connection() as connection:
        made = await first_user(connection, "owner@localhost")
    assert made is not None
    await sign_in(http, *made)
    await http.post("/console/password", data={"old": made[1], "new": PASSWORD, "again": PASSWORD})
    return http


async def as_stranger(house: System, http: httpx.AsyncClient) -> int:
    """Sign in as the owner of another customer; its number."""
    async with house.engine.pool.connection() as connection:
        other = await add_customer(connection, f"other {house.customer}", house.clock.now())
        first = await add_user(connection, "stranger@example.com", other, Role.OWNER)
    assert first is not None
    await sign_in(http, "stranger@example.com", first)
    await http.post("/console/password", data={"old": first, "new": PASSWORD, "again": PASSWORD})
    return other


async def send(house: System, count: int = 1) -> str:
    await house.publish(HTML_MAIL)
    batch = await house.start(contacts(count))
    await house.ended(batch)
    return batch


async def newest(engine: Engine) -> int:
    async with engine.pool.connection() as connection:
        return (await kept.list_messages(connection))[0].id


async def no_batch(house: System) -> int:
    """Keep a mail that no batch sent; its number."""
    assert house.engine.settings.database_url is not None
    async with MailSandbox(SandboxStore(house.engine.settings.database_url, "email", 100)) as channel:
        await channel.send(Mail("a@example.com", "old@example.com", "<x@example.com>", b"Subject: Old\r\n\r\nHi\r\n"))
    return await newest(house.engine)


async def test_an_empty_sandbox_says_what_to_do(house: System, viewer: httpx.AsyncClient) -> None:
    for path in ("/console/sandbox", f"/console/{house.customer}/sandbox"):
        page = await viewer.get(path)
        assert page.status_code == 200
        assert "No mail yet" in page.text and "No mail leaves" in page.text
        assert buttons(page) == ["Sign out"]


async def test_every_page_says_that_no_mail_leaves_where_no_relay_is_set(
    house: System, viewer: httpx.AsyncClient
) -> None:
    hint = f'href="/console/{house.customer}/sandbox">Sandbox<span class="roomy">: no mail leaves</span></a>'
    for path in (f"{house.customer}/batches", f"{house.customer}/contacts", "sandbox", "password"):
        assert hint in (await viewer.get(f"/console/{path}")).text, path
    relayed = house.engine.settings.model_copy(update={"smtp_url": "smtp://relay.test"})
    async with browser(replace(house.engine, settings=relayed)) as other:
        other.cookies = viewer.cookies
        assert "no mail leaves" not in (await other.get(f"/console/{house.customer}/batches")).text
        page = await other.get("/console/sandbox")
        assert "A relay is set, so mails are sent" in page.text and "Nothing is kept" in page.text


async def test_mails_are_listed_newest_first_with_pages_and_found_by_address_and_batch(
    house: System, viewer: httpx.AsyncClient
) -> None:
    first = await send(house, 27)
    second = await send(house)
    path = f"/console/{house.customer}/sandbox"
    page = await viewer.get(path)
    numbers = [int(each) for each in re.findall(r'href="/console/sandbox/(\d+)"', page.text)]
    assert len(numbers) == 25 and numbers == sorted(numbers, reverse=True)
    older = re.search(r'<a href="([^"]+)" rel="next">', page.text)
    assert older
    assert len(re.findall(r'href="/console/sandbox/(\d+)"', (await viewer.get(unescape(older[1]))).text)) == 3

    async def found(**query: str) -> int:
        return len(re.findall(r'href="/console/sandbox/\d+"', (await viewer.get(path, params=query)).text))

    assert await found(q=second) == 1
    assert await found(q=first) == 25
    assert await found(q="C26@EXAMPLE") == 1
    assert await found(q="nobody@example.com") == 0
    assert await found(q="b_" + "0" * 20) == 0
    assert "No mail is like this" in (await viewer.get(path, params={"q": HOSTILE + "\0"})).text
    for wrong in ("x", "-1", str(2**63)):
        assert (await viewer.get(path, params={"before": wrong})).status_code == 400


async def test_a_mail_is_shown_as_html_text_headers_and_source(house: System, viewer: httpx.AsyncClient) -> None:
    batch = await send(house)
    number = await newest(house.engine)
    path = f"/console/sandbox/{number}"
    page = await viewer.get(path)
    assert f'src="{path}/html" sandbox' in page.text
    assert batch in page.text
    assert "&lt;script&gt;alert(2)" in (await viewer.get(f"{path}?view=text")).text
    headers = (await viewer.get(f"{path}?view=headers")).text
    assert "Message-ID" in headers and "MIME-Version" in headers
    source = await viewer.get(f"{path}?view=source")
    assert "Content-Type: multipart/alternative" in source.text
    assert (await viewer.get(f"{path}?view=raw")).status_code == 400
    file = await viewer.get(f"{path}/source")
    assert file.headers["content-type"] == "message/rfc822"
    assert file.headers["content-disposition"] == f'attachment; filename="{number}.eml"'
    async with house.engine.pool.connection() as connection:
        assert file.content == (await kept.get_mail(connection, number)).raw
    for text in (page.text, headers, source.text):
        assert "<img src=x" not in text and "<script>alert" not in text
        assert HOSTILE in unescape(text)


async def test_a_mails_html_is_served_so_that_nothing_in_it_runs(house: System, viewer: httpx.AsyncClient) -> None:
    await send(house)
    answer = await viewer.get(f"/console/sandbox/{await newest(house.engine)}/html")
    assert answer.status_code == 200 and "<h1 id=seen>" in answer.text
    policy = {
        each.partition(" ")[0]: each.partition(" ")[2] for each in answer.headers["content-security-policy"].split("; ")
    }
    assert policy == {
        "sandbox": "",
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "form-action": "'none'",
        "frame-ancestors": "'self'",
        "base-uri": "'none'",
    }
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    own = {"Content-Security-Policy", "X-Frame-Options"}
    assert {name: answer.headers[name] for name in HEADERS if name not in own} == {
        name: value for name, value in HEADERS.items() if name not in own
    }
    assert answer.headers["cache-control"] == "no-store"


async def test_a_mail_without_html_has_no_frame(house: System) -> None:
    number = await no_batch(house)
    async with browser(house.engine) as http:
        await as_operator(house.engine, http)
        page = await http.get(f"/console/sandbox/{number}")
        assert "<iframe" not in page.text and ">Hi" in page.text
        assert (await http.get(f"/console/sandbox/{number}/html")).status_code == 404


async def test_mails_of_other_customers_and_of_no_batch_are_not_there(house: System, viewer: httpx.AsyncClient) -> None:
    batch = await send(house)
    number = await newest(house.engine)
    unknown = await no_batch(house)
    assert str(unknown) not in re.findall(r"/console/sandbox/(\d+)", (await viewer.get("/console/sandbox")).text)
    async with browser(house.engine) as http:
        other = await as_stranger(house, http)
        for query in ("", f"?q={batch}", "?q=example.com"):
            for path in ("/console/sandbox", f"/console/{other}/sandbox"):
                assert "/console/sandbox/" not in (await http.get(path + query)).text, path
        assert (await http.get(f"/console/{house.customer}/sandbox")).status_code == 404
        for each in (number, unknown):
            for rest in ("", "/html", "/source", "?view=text"):
                assert (await http.get(f"/console/sandbox/{each}{rest}")).status_code == 404, rest
        assert (await http.get("/console/sandbox/clear")).status_code == 404
        assert (await http.post("/console/sandbox/clear")).status_code == 404
    async with house.engine.pool.connection() as connection:
        assert await kept.count(connection) == 2


async def test_without_a_session_nothing_is_shown(house: System) -> None:
    await send(house)
    number = await newest(house.engine)
    async with browser(house.engine) as http:
        for path in ("", f"/{number}", f"/{number}/html", f"/{number}/source", "/clear"):
            answer = await http.get(f"/console/sandbox{path}")
            assert (answer.status_code, answer.headers["location"][:15]) == (303, "/console/login?")


async def test_the_operator_sees_all_and_clears_after_a_question(house: System) -> None:
    await send(house, 2)
    number = await no_batch(house)
    async with browser(house.engine) as http:
        await as_operator(house.engine, http)
        page = await http.get("/console/sandbox")
        assert f"/console/sandbox/{number}" in page.text and "Clear" in buttons(page)
        asked = await http.get("/console/sandbox/clear")
        assert "3 mails of all customers are forgotten for good" in asked.text and "Confirm" in buttons(asked)
        answer = await http.post("/console/sandbox/clear")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/sandbox")
    async with house.engine.pool.connection() as connection:
        assert await kept.count(connection) == 0
        act = (await entries(connection, None))[0]
    assert (act.act, act.subject, act.detail) == ("clear", "sandbox", {"messages": 3})


async def test_mails_of_a_forgotten_batch_are_forgotten_too(house: System) -> None:
    batch = await send(house, 2)
    rest = await no_batch(house)
    await forget(house.engine, house.customer, batch)
    async with house.engine.pool.connection() as connection:
        assert [each.id for each in await kept.list_messages(connection)] == [rest]


async def test_an_answer_of_the_sandbox_leads_from_a_contact_to_its_mail(
    house: System, viewer: httpx.AsyncClient
) -> None:
    await send(house)
    page = await viewer.get(f"/console/{house.customer}/contacts?id=0")
    assert f'href="/console/sandbox/{await newest(house.engine)}">See the mail</a>' in page.text
