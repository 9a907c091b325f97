"""How the file of a new batch comes: to its upload URL, by a form, by download, into the store itself."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from caravan.console.guard import HEADERS
from caravan.settings import Settings, Uploads
from caravan.store import spans
from caravan.store.spans import Receipt, Span, SpanState
from tests.integration.conftest import NDJSON, System
from tests.integration.console.test_console import browser, signed_in
from tests.integration.console.test_new_batch import new, open_batch, plain, shown
from tests.integration.engine.test_hold import served
from tests.integration.journeys_for_tests import EXIT, SPRING, contacts
from tests.s3 import S3


@pytest.fixture
async def editor(idle_system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(idle_system.engine) as http:
        await signed_in(http, idle_system)
        yield http


async def test_while_its_file_is_awaited_the_page_says_since_when_and_takes_it(
    idle_system: System, editor: httpx.AsyncClient
) -> None:
    system = idle_system
    await system.publish(EXIT)
    batch = await open_batch(editor, system)
    page = await editor.get(new(system, batch))
    assert "Nothing of the file is here. The batch waits for it since" in plain(page)
    shell = re.search(r"curl -T FILE -H 'Content-Type: text/plain' '([^']+)'", page.text)
    assert shell and shell[1].startswith("http://caravan.test/uploads/")
    refused = await editor.post(new(system, batch), data={"act": "start"})
    assert (refused.status_code, "once it is read whole" in plain(refused)) == (409, True)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"\n" * (2 << 20)
        assert "The file is on its way: 2.1 MB have arrived" in await shown(editor, new(system, batch), "have arrived")
        yield contacts(1)

    async with asyncio.timeout(60):
        assert (await editor.put(shell[1], content=slowly(), headers=NDJSON)).status_code == 200
    assert "The file is here, 2.1 MB , and is being read" in plain(await editor.get(new(system, batch)))


async def test_without_scripts_the_form_brings_the_file(system: System, editor: httpx.AsyncClient) -> None:
    await system.publish(SPRING)
    batch = await open_batch(editor, system)
    assert 'enctype="multipart/form-data"' in (await editor.get(new(system, batch))).text
    missing = await editor.post(new(system, batch), files={"file": ("", b"")})
    assert (missing.status_code, "No file was chosen" in missing.text) == (400, True)
    answer = await editor.post(new(system, batch), files={"file": ("c.ndjson", contacts(20_000))})
    assert (answer.status_code, answer.headers["location"]) == (303, new(system, batch))
    found = await system.until(batch, lambda found: found["state"] == "paused")
    assert (found["ledger"]["entered"], found["ledger"]["rejected"]) == (20_000, {})
    other = await editor.post(new(system, batch), files={"file": ("c.ndjson", contacts(3))})
    assert (other.status_code, "already has another file" in other.text) == (409, True)


async def test_a_file_is_downloaded_from_a_url(system: System, editor: httpx.AsyncClient) -> None:
    await system.publish(EXIT)
    async with served(contacts(3)) as url:
        batch = await open_batch(editor, system, url=url)
        await system.until(batch, lambda found: found["state"] == "paused")
    assert "3 contacts will enter" in plain(await editor.get(new(system, batch)))
    assert "<file-upload" not in (await editor.get(new(system, batch))).text


class TestDirectUploads:
    """Browsers send their file to the store itself."""

    @pytest.fixture
    def settings(self, settings: Settings, s3: S3) -> Settings:
        place = {"files_url": f"s3://{s3.bucket()}/here", "files_endpoint_url": s3.endpoint}
        return settings.model_copy(update={**place, "uploads": Uploads.DIRECT})

    async def test_the_pages_may_connect_to_the_store_and_to_nothing_else(
        self, idle_system: System, editor: httpx.AsyncClient, s3: S3
    ) -> None:
        await idle_system.publish(EXIT)
        batch = await open_batch(editor, idle_system)
        wanted = HEADERS["Content-Security-Policy"].replace("connect-src 'self'", f"connect-src 'self' {s3.endpoint}")
        for path in (new(idle_system), new(idle_system, batch)):
            assert (await editor.get(path)).headers["content-security-policy"] == wanted
        page = await editor.get(new(idle_system, batch))
        assert re.search(rf'<file-upload href="{s3.endpoint}/[^"]+{batch}', page.text)
        assert (await editor.get("/console/password")).headers["content-security-policy"] != wanted
        refused = await editor.post(new(idle_system, batch), files={"file": ("c", contacts(1))})
        assert (refused.status_code, "takes no upload" in refused.text) == (409, True)


class TestFilesInSpans:
    """A very large file is read in spans, and the page counts the rows of those that are done."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"span_bytes": 4_000})

    async def test_the_rows_that_were_read_so_far_are_told(
        self, idle_system: System, editor: httpx.AsyncClient
    ) -> None:
        await idle_system.publish(EXIT)
        batch = await open_batch(editor, idle_system)
        await editor.post(new(idle_system, batch), files={"file": ("c", contacts(100))})
        assert "and is being read: 0 rows so far" in plain(await editor.get(new(idle_system, batch)))
        first, second = Span(0, 0, 4_000, 1), Span(1, 4_000, 8_000, 39)
        async with idle_system.engine.pool.connection() as connection:
            await spans.add(connection, batch, [first, second])
            await spans.settle(connection, batch, first, SpanState.READ, Receipt(38, 0, {}, [], None))
        assert "and is being read: 38 rows so far" in plain(await editor.get(new(idle_system, batch)))
