"""Readiness: what it asks, what it says, and that it neither hangs nor piles up where something stands still."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from caravan.queries import readiness
from caravan.queries.readiness import Part, Readiness
from caravan.settings import Settings
from caravan.store.database import connect
from caravan.store.files import LocalFiles, open_files
from tests.integration.conftest import System
from tests.s3 import S3


async def _ready(system: System, query: str = "") -> tuple[int, str]:
    answer = await system.http.get(f"/readyz{query}")
    return answer.status_code, answer.json().get("detail", "")


async def _until_ready(look: Callable[[], Awaitable[list[str]]]) -> None:
    """The first look may still hear what the question before it is answered."""
    deadline = asyncio.get_running_loop().time() + 15
    while missing := await look():
        assert asyncio.get_running_loop().time() < deadline, missing


async def test_a_folder_of_files_that_is_gone_is_named_and_may_be_left_out(
    idle_system: System, caplog: pytest.LogCaptureFixture
) -> None:
    system = idle_system
    assert await _ready(system) == (200, "")
    files = system.engine.files
    assert isinstance(files, LocalFiles)
    files.root.rmdir()
    status, said = await _ready(system)
    assert (status, "store of files" in said, "PostgreSQL" in said) == (503, True, False)
    assert str(files.root) not in said
    assert await _ready(system, "?exclude=files") == (200, "")
    assert (await _ready(system, "?exclude=nonsense"))[0] == 400
    assert (await _ready(system))[0] == 503
    assert caplog.text.count("Not ready") == 1
    files.root.mkdir()
    assert await _ready(system) == (200, "")


async def test_both_are_named_when_both_are_away(idle_system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PATIENCE", 0.2)
    system = idle_system
    files = system.engine.files
    assert isinstance(files, LocalFiles)
    files.root.rmdir()
    await system.engine.pool.close()
    status, said = await _ready(system)
    assert (status, "store of files" in said, "PostgreSQL" in said) == (503, True, True)


class TestAStoreThatSpeaksS3:
    @pytest.fixture(autouse=True)
    def patient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its client is loaded with the first question, which takes seconds on a busy machine."""
        monkeypatch.setattr(readiness, "PATIENCE", 60.0)

    @pytest.fixture
    def place(self, s3: S3) -> str:
        return s3.bucket()

    @pytest.fixture
    def settings(self, settings: Settings, s3: S3, place: str) -> Settings:
        return settings.model_copy(update={"files_url": f"s3://{place}/here", "files_endpoint_url": s3.endpoint})

    async def test_is_asked_for_one_key(self, idle_system: System, s3: S3) -> None:
        with s3.in_mood() as mood:
            assert await _ready(idle_system) == (200, "")
        assert len(mood.asked) == 1
        assert "max-keys=1&" in mood.asked[0]

    async def test_without_its_bucket_is_not_ready(self, idle_system: System, s3: S3, place: str) -> None:
        s3.client.delete_bucket(Bucket=place)
        assert await _ready(idle_system) == (503, "The store of files does not do as it should: NoSuchBucket.")

    async def test_that_refuses_the_credentials_is_not_ready(self, idle_system: System, s3: S3) -> None:
        with s3.in_mood(errors=1000, status=403, code="AccessDenied"):
            assert await _ready(idle_system) == (503, "The store of files does not do as it should: AccessDenied.")
        assert await _ready(idle_system) == (200, "")

    async def test_that_stands_still_is_told_in_time(
        self, idle_system: System, s3: S3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(readiness, "PATIENCE", 0.2)
        with s3.in_mood(pause=1):
            assert await _ready(idle_system, "?exclude=database") == (503, "The store of files does not answer.")
        monkeypatch.setattr(readiness, "PATIENCE", 5.0)
        await _until_ready(Readiness(idle_system.engine).look)


async def test_a_store_that_stands_still_is_asked_once_however_many_want_to_know(
    idle_system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, goes_on = list[float](), threading.Event()

    def still(self: LocalFiles, seconds: float) -> None:
        asked.append(seconds)
        goes_on.wait(10)

    monkeypatch.setattr(LocalFiles, "check", still)
    monkeypatch.setattr(readiness, "PATIENCE", 0.05)
    looking = Readiness(idle_system.engine)
    for _ in range(3):
        told = await asyncio.gather(*(looking.look([Part.DATABASE]) for _ in range(4)))
        assert told == [["The store of files does not answer."]] * 4
    assert len(asked) == 1
    goes_on.set()
    monkeypatch.setattr(readiness, "PATIENCE", 5.0)
    assert await looking.look() == []


@asynccontextmanager
async def _line_to(database: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The URL of a line to a database, and an event: while it is not set, nothing passes."""
    known = conninfo_to_dict(database)
    host, port = str(known["host"]), str(known.get("port") or 5432)
    flowing = asyncio.Event()
    flowing.set()

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError), closing(target):
            while data := await source.read(1 << 16):
                await flowing.wait()
                target.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = (
            await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
            if host.startswith("/")
            else await asyncio.open_connection(host, int(port))
        )
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    at = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
    try:
        yield make_conninfo("", **{**known, **at}), flowing
    finally:
        flowing.set()
        server.close()


async def test_a_postgres_that_stands_still_is_told_in_time(
    idle_system: System, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _line_to(database) as (url, flowing), connect(url, size=3) as pool:
        object.__setattr__(idle_system.engine, "pool", pool)
        looking = Readiness(idle_system.engine)
        assert await looking.look() == []
        monkeypatch.setattr(readiness, "PATIENCE", 0.2)
        flowing.clear()
        for _ in range(3):
            assert await asyncio.wait_for(looking.look(), 1) == ["PostgreSQL does not answer."]
        assert await looking.look([Part.DATABASE]) == []
        flowing.set()
        await _until_ready(looking.look)


def test_a_folder_that_can_be_written_is_ready(folder: Path) -> None:
    files = open_files(None, folder)
    files.check(1)
    files.close()
