"""Rejects and journal: what is wrong is told by a status, and what can't be whole does not look whole."""

import asyncio
import csv
import io
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from caravan.api import batches as module
from caravan.api.app import create_app
from caravan.errors import Unavailable
from caravan.queries.journal import Journal, open_journal
from caravan.store.files import Files
from tests.integration.conftest import System
from tests.integration.journeys_for_tests import EXIT, MAIL, contacts

COUNT = 300  # three cohorts, and so three files of the journal


class Gated:
    """A store far away: a file is fetched whole before it is read. From one file on it stands still, until it is let
    go, or it is away."""

    def __init__(self, files: Files, stands_at: int, away: bool = False) -> None:
        self._files, self._stands_at, self._away = files, stands_at, away
        self._fetched = 0
        self.reached, self.free = threading.Event(), threading.Event()

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        self._fetched += 1
        if self._away and self._fetched >= self._stands_at:
            raise Unavailable("The store answers nothing.")
        with tempfile.TemporaryDirectory() as folder, self._files.local(name) as path:
            fetched = Path(shutil.copy(path, folder))
            if self._fetched >= self._stands_at:
                self.reached.set()
                assert self.free.wait(20)
            yield fetched


@asynccontextmanager
async def _served(system: System, files: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The same system behind a real socket, with another store."""
    app = create_app(replace(system.engine, files=files))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells by nothing else
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": f"Bearer {system.token}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as http:
        yield http
    server.should_exit = True
    await serving


async def _ended(system: System) -> str:
    await system.publish(EXIT)
    batch = await system.start(contacts(COUNT) + b"nonsense\n")
    await system.ended(batch)
    return batch


async def _forget(system: System, batch: str) -> None:
    answer = await system.post(f"batches/{batch}/forget", {})
    assert answer.status_code == 200, answer.text


async def _cut(http: httpx.AsyncClient, path: str, meanwhile: Callable[[], Any]) -> int:
    """Read an answer that begins well and must not end well; how many lines came."""
    came = b""
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        async with http.stream("GET", path) as answer:
            assert answer.status_code == 200
            await meanwhile()
            async for chunk in answer.aiter_bytes():
                came += chunk
    return came.count(b"\n")


@pytest.mark.parametrize("what", ["journal", "rejects"])
async def test_a_store_that_is_away_is_503(system: System, what: str) -> None:
    batch = await _ended(system)
    async with _served(system, Gated(system.engine.files, 1, away=True)) as http:
        answer = await http.get(system.path(f"batches/{batch}/{what}"))
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "The store answers nothing." in answer.json()["error"]


@pytest.mark.parametrize("what", ["journal", "rejects"])
async def test_files_that_are_gone_are_503_until_the_batch_is_forgotten_and_410_then(system: System, what: str) -> None:
    batch = await _ended(system)
    system.engine.files.delete_folder(f"batches/{batch}")
    assert (await system.get(f"batches/{batch}/{what}")).status_code == 503
    await _forget(system, batch)
    assert (await system.get(f"batches/{batch}/{what}")).status_code == 410


@pytest.mark.parametrize("what", ["journal", "rejects"])
async def test_a_batch_that_is_forgotten_before_the_first_line_is_410(system: System, what: str) -> None:
    batch = await _ended(system)
    gated = Gated(system.engine.files, 1)
    async with _served(system, gated) as http:
        asked = asyncio.create_task(http.get(system.path(f"batches/{batch}/{what}")))
        await asyncio.to_thread(gated.reached.wait, 20)
        await _forget(system, batch)
        gated.free.set()
        assert (await asked).status_code == 410


async def test_a_batch_that_is_forgotten_before_its_journal_is_looked_up_is_410(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await _ended(system)

    async def late(*arguments: Any) -> Journal:
        await _forget(system, batch)
        return await open_journal(*arguments)

    monkeypatch.setattr(module, "open_journal", late)
    assert (await system.get(f"batches/{batch}/journal")).status_code == 410


async def test_a_store_that_goes_away_in_the_middle_cuts_the_connection(system: System) -> None:
    batch = await _ended(system)

    async def nothing() -> None: ...

    async with _served(system, Gated(system.engine.files, 3, away=True)) as http:
        assert await _cut(http, system.path(f"batches/{batch}/journal"), nothing) <= 200


@pytest.mark.parametrize("stands_at", [2, 3])
async def test_a_batch_that_is_forgotten_in_the_middle_cuts_the_connection_also_at_the_last_file(
    system: System, stands_at: int
) -> None:
    batch = await _ended(system)
    gated = Gated(system.engine.files, stands_at)

    async def forget() -> None:
        await asyncio.to_thread(gated.reached.wait, 20)
        await _forget(system, batch)
        gated.free.set()

    async with _served(system, gated) as http:
        assert await _cut(http, system.path(f"batches/{batch}/journal"), forget) < COUNT


async def test_what_is_whole_ends_well(system: System) -> None:
    batch = await _ended(system)
    async with _served(system, system.engine.files) as http:
        journal = await http.get(system.path(f"batches/{batch}/journal"))
        rejects = await http.get(system.path(f"batches/{batch}/rejects"))
    assert (journal.text.count("\n"), rejects.text.count("\n")) == (COUNT, 1)
    assert journal.headers["content-type"] == "application/x-ndjson"


async def test_rejects_and_journal_are_csv_where_that_is_asked_for(system: System) -> None:
    await system.publish(EXIT)
    batch = await system.start(contacts(3) + b'=cmd()\n{"id": ""}\n')
    await system.ended(batch)
    rejects = await system.get(f"batches/{batch}/rejects?format=csv")
    assert rejects.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert rejects.headers["content-disposition"] == f'attachment; filename="{batch}-rejects.csv"'
    rows = list(csv.DictReader(io.StringIO(rejects.text, newline="")))
    assert [(row["line"], row["code"], row["row"]) for row in rows] == [
        ("4", "not_json", "'=cmd()"),
        ("5", "bad_id", '{"id": ""}'),
    ]
    (only,) = await system.lines(f"batches/{batch}/rejects?code=bad_id")
    assert only["line"] == 5
    journal = await system.http.get(system.path(f"batches/{batch}/journal"), headers={"Accept": "text/csv"})
    found = list(csv.DictReader(io.StringIO(journal.text, newline="")))
    assert [(row["contact"], row["step"], row["outcome"]) for row in found] == [
        (str(i), "out", "passed") for i in range(3)
    ]
    assert (await system.get(f"batches/{batch}/rejects?format=xls")).status_code == 400
    assert (await system.get(f"batches/{batch}/rejects?code=ugly")).status_code == 400


async def test_the_journal_takes_several_outcomes(system: System) -> None:
    await system.publish(MAIL)
    batch = await system.start(contacts(3) + b'{"id": "x", "properties": {"emailAddress": "nobody"}}\n')
    await system.ended(batch)
    one = await system.lines(f"batches/{batch}/journal?outcome=failed")
    assert [each["contact"] for each in one] == ["x"]
    both = await system.lines(f"batches/{batch}/journal?outcome=failed&outcome=sent")
    assert len(both) == 4
    assert (await system.get(f"batches/{batch}/journal?outcome=failed&outcome=lost")).status_code == 400
