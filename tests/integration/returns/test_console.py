"""What came back on the console: counted on the batch's page, which stays live, and one by one on a page of its own."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from caravan.access.users import Role
from caravan.queries.watch import Watches
from tests.integration.console.test_console import browser, signed_in
from tests.integration.returns.conftest import Sent
from tests.integration.returns.test_shown import SOFT
from tests.unit.returns.mails import dsn


@pytest.fixture
async def page(sent: Sent) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(sent.system.engine) as client:
        await signed_in(client, sent.system, Role.VIEWER)
        yield client


def _path(sent: Sent, rest: str = "") -> str:
    return f"/console/{sent.system.customer}/batches/{sent.batch}{rest}"


async def test_a_batch_page_counts_what_came_back_by_step(sent: Sent, page: httpx.AsyncClient) -> None:
    before = await page.get(_path(sent))
    assert '<section id="returns" hidden>' in before.text
    await sent.deliver(dsn(), sent.mails[0].sender)
    await sent.deliver(SOFT, sent.mails[1].sender)
    text = (await page.get(_path(sent))).text
    section = text[text.index('<section id="returns"') :].partition("</section>")[0]
    assert "What came back" in section and "3 sent" in section
    assert re.search(r"bounced\s*<span class=\"muted\">1 hard, 1 soft", section)
    assert "67 %" in section and section.count("<rect") == 2


async def test_the_stream_of_the_page_tells_it_as_well(sent: Sent, page: httpx.AsyncClient) -> None:
    await sent.deliver(dsn())
    async with asyncio.timeout(60):
        answer = await page.get(_path(sent, "/live"))
    assert '"returns":' in answer.text and "1 hard" in answer.text


async def test_each_return_has_its_line_its_reason_and_its_message(sent: Sent, page: httpx.AsyncClient) -> None:
    empty = await page.get(_path(sent, "/returns"))
    assert "Nothing has come back yet." in empty.text
    await sent.deliver(dsn(), sent.mails[0].sender)
    await sent.deliver(SOFT, sent.mails[1].sender)
    text = (await page.get(_path(sent, "/returns"))).text
    assert "user unknown" in text and "c0@example.com" in text and '<svg class="bar chart"' in text
    assert "<script>alert" not in text and "&lt;script&gt;" in text
    (message, *_) = re.findall(r'href="([^"]+/returns/\d+)"', text)
    saved = await page.get(message)
    assert saved.headers["content-disposition"].startswith("attachment;") and b"over quota" in saved.content
    assert saved.headers["x-content-type-options"] == "nosniff"
    narrowed = await page.get(_path(sent, "/returns?kind=complained"))
    assert "Nothing here is like this." in narrowed.text
    assert (await page.get(_path(sent, "/returns?kind=x"))).status_code == 400
    download = await page.get(_path(sent, "/returns?kind=bounced&download=ndjson"))
    assert len(download.text.splitlines()) == 2


async def test_the_page_of_returns_stays_live_after_the_batch_has_ended(sent: Sent) -> None:
    await sent.deliver(dsn(), sent.mails[0].sender)
    async with asyncio.timeout(60), aclosing(Watches(sent.system.engine).follow_returns(*_place(sent))) as followed:  # type: ignore[type-var]
        first = await anext(followed)
        assert [each.contact for each in first.newest] == ["0"] and first.report.batch.ended
        await sent.deliver(SOFT, sent.mails[1].sender)
        async for state in followed:
            if len(state.newest) == 2:
                break
        assert state.steps[0].events[0].verdicts == {"hard": 1, "soft": 1}


def _place(sent: Sent) -> tuple[int, str]:
    return sent.system.customer, sent.batch
