"""A PUT that comes too slowly is given up, and can be repeated."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import httpx
import pytest

from caravan.api.app import create_app
from caravan.settings import Settings
from tests.integration.conftest import NDJSON, System
from tests.integration.journeys_for_tests import EXIT, contacts


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"upload_timeout": 0.5})


async def _vanishes() -> AsyncIterator[bytes]:
    yield contacts(100)
    await asyncio.sleep(60)


async def _drips() -> AsyncIterator[bytes]:
    for _ in range(1_000):
        yield b"{"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(("body", "why"), [(_vanishes, "nothing came for 0.5 seconds"), (_drips, "nearly still")])
async def test_a_put_that_stands_still_is_408_and_its_batch_awaits_the_file_as_before(
    idle_system: System, body: Callable[[], AsyncIterator[bytes]], why: str
) -> None:
    system = idle_system
    await system.publish(EXIT)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    async with asyncio.timeout(60):
        answer = await system.http.put(opened["uploadUrl"], content=body(), headers=NDJSON)
    assert (answer.status_code, answer.headers["content-type"]) == (408, "application/problem+json")
    assert answer.headers["connection"] == "close"
    assert why in answer.json()["error"]
    assert (await system.batch(opened["batchId"]))["state"] == "awaiting_upload"
    assert not system.engine.uploads.exists() or list(system.engine.uploads.iterdir()) == []
    again = await system.http.put(opened["uploadUrl"], content=contacts(3), headers=NDJSON)
    assert again.status_code == 200


async def test_a_key_that_is_replaced_is_good_for_what_it_signed(idle_system: System) -> None:
    system = idle_system
    await system.publish(EXIT)
    urls = []
    for keys in ("old", "new, old ,", "newest,new"):
        with_keys = replace(system.engine, settings=system.engine.settings.model_copy(update={"secret_key": keys}))
        app = create_app(with_keys)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://caravan.test", headers=system.http.headers
        ) as http:
            opened = (await http.post(system.path("batchtrigger/v2"), json={"entityId": 1})).json()
            urls.append(opened["uploadUrl"])
            put = [(await http.put(url, content=contacts(1), headers=NDJSON)).status_code for url in urls]
        assert put == {"old": [200], "new, old ,": [200, 200], "newest,new": [403, 200, 200]}[keys]


async def test_a_put_that_pauses_for_less_than_the_silence_is_taken(idle_system: System) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for start in range(0, 500, 100):
            yield contacts(100, start=start)
            await asyncio.sleep(0.2)

    system = idle_system
    await system.publish(EXIT)
    opened = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    answer = await system.http.put(opened["uploadUrl"], content=slowly(), headers=NDJSON)
    assert answer.status_code == 200
