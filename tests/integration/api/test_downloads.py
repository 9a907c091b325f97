"""Batches whose file Caravan fetches."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import EXIT, contacts


@pytest.fixture
async def files() -> AsyncIterator[dict[str, bytes]]:
    """A file server: what is in the dict, by path; `url` is its address."""
    content: dict[str, bytes] = {}

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/moved":
            raise web.HTTPFound("/contacts")
        found = content.get(request.path)
        return web.Response(body=found) if found is not None else web.Response(status=403)

    app = web.Application()
    app.router.add_get("/{name:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    content["url"] = f"http://127.0.0.1:{runner.addresses[0][1]}".encode()
    yield content
    await runner.cleanup()


async def _start(system: System, url: str) -> str:
    answer = await system.post("batchtrigger/v2", {"entityId": 1, "downloadUrl": url})
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["batchId"]
    return str(answer.json()["batchId"])


@pytest.mark.parametrize("path", ["/contacts?signature=secret", "/moved"])
async def test_a_file_is_fetched_and_started_at_once(system: System, files: dict[str, bytes], path: str) -> None:
    files["/contacts"] = contacts(70)
    await system.publish(EXIT)
    found = await system.ended(await _start(system, files["url"].decode() + path))
    assert (found["state"], found["ledger"]["entered"]) == ("completed", 70)


async def test_a_download_that_fails_fails_the_batch_without_telling_the_signature(
    system: System, files: dict[str, bytes]
) -> None:
    await system.publish(EXIT)
    batch = await _start(system, files["url"].decode() + "/gone?signature=verysecret")
    found = await system.ended(batch)
    assert (found["state"], found["errorCode"]) == ("failed", "download_failed")
    assert "403" in found["error"]
    assert "verysecret" not in str(found)
    async with system.engine.pool.connection() as connection:
        kept = await (await connection.execute("select * from batches")).fetchall()
    assert "verysecret" not in str(kept)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://2130706433/x", "http://[::1]/x", "http://localhost/x"])
async def test_a_private_address_is_never_fetched_from(idle_system: System, url: str) -> None:
    strict = idle_system.engine.settings.model_copy(update={"download_allow_private": False})
    async with open_house(strict, idle_system.sandbox) as system, working(system):
        await system.publish(EXIT)
        found = await system.ended(await _start(system, url))
        assert (found["state"], found["errorCode"]) == ("failed", "download_failed")


async def test_an_upload_to_a_batch_that_downloads_is_refused(system: System, files: dict[str, bytes]) -> None:
    files["/contacts"] = contacts(1)
    await system.publish(EXIT)
    batch = await _start(system, files["url"].decode() + "/contacts")
    await system.ended(batch)
    answer = await system.post(f"batches/{batch}/cancel", {})
    assert answer.status_code == 409


async def test_a_cancel_during_the_download_wins(idle_system: System, files: dict[str, bytes]) -> None:
    system = idle_system
    files["/contacts"] = contacts(5)
    await system.publish(EXIT)
    batch = await _start(system, files["url"].decode() + "/contacts")
    assert (await system.post(f"batches/{batch}/cancel", {})).status_code == 200
    async with working(system):
        await asyncio.sleep(0.5)
        assert (await system.batch(batch))["state"] == "cancelled"


async def test_a_slow_download_holds_up_nobody_and_a_cancel_ends_it(system: System) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        begun.set()
        try:
            while True:
                writer.write(b"\n" * 100)
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            gone.set()
        finally:
            writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        await system.publish(EXIT)
        slow = await _start(system, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/slow")
        await begun.wait()
        assert (await system.ended(await system.start(contacts(3))))["state"] == "completed"
        assert (await system.post(f"batches/{slow}/cancel", {})).status_code == 200
        await asyncio.wait_for(gone.wait(), 5)
    assert (await system.batch(slow))["state"] == "cancelled"
