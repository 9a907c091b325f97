"""What all tiers share: one PostgreSQL for the run, and a database of its own for each test that asks."""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from caravan.server.embedded import embedded
from caravan.store.database import Pool, connect
from caravan.store.migrate import migrate
from tests.disk import NoDisk, SmallDisk
from tests.s3 import CREDENTIALS, S3

_MEMORY = Path("/dev/shm")
_ROOMY = 8 * 2**30  # bytes

# What tests write lies in memory where the machine has room: the many files of a database are made and removed there in
# a tenth of the time. It holds for the processes that they start, too.
if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOMY:
    os.environ.setdefault("TMPDIR", str(_MEMORY))
    tempfile.tempdir = None


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL: the one that TEST_DATABASE_URL names, else an embedded one."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given is not None:
        yield given
        return
    # Not a folder of pytest's: a later run at the same time would tidy it away.
    with tempfile.TemporaryDirectory(prefix="caravan-test-") as folder, embedded(Path(folder), wait=True) as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("alter system set fsync = off")  # processes die in tests, machines do not
            admin.execute("select pg_reload_conf()")
        yield url


@pytest.fixture
def empty_database(server: str) -> Iterator[str]:
    """The URL of a database without any table."""
    yield from _database(server, "template1")


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """The name of a database with the present schema, to copy."""
    import asyncio

    async def fill(url: str) -> None:
        async with connect(url, size=1) as pool, pool.connection() as connection:
            await migrate(connection)

    name = f"template_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'create database "{name}"')
    asyncio.run(fill(_url(server, name)))
    yield name
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'drop database "{name}" with (force)')


@pytest.fixture
def database(server: str, template: str) -> Iterator[str]:
    """The URL of a database with the present schema and nothing in it."""
    yield from _database(server, template)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """Connections to a database with the present schema."""
    async with connect(database, size=10) as pool:
        yield pool


def _database(server: str, template: str) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'create database "{name}" template "{template}" strategy file_copy')
    yield _url(server, name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'drop database "{name}" with (force)')


def _url(server: str, name: str) -> str:
    """The same server, another database."""
    from urllib.parse import urlsplit

    return urlsplit(server)._replace(path=f"/{name}").geturl()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder."""
    with data_folder() as path:
        yield path


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    """A data folder for all tests of a module."""
    with data_folder() as path:
        yield path


@contextmanager
def data_folder() -> Iterator[Path]:
    """Not one of pytest's, whose folders only the user who runs it may enter: PostgreSQL is another."""
    with tempfile.TemporaryDirectory(prefix="caravan-test-", ignore_cleanup_errors=True) as path:
        yield Path(path).resolve() / "data"


@pytest.fixture
def disk(folder: Path) -> Iterator[Callable[[int], SmallDisk]]:
    """Makes a disk of so many MiB, to be filled. Skips where the system lets nobody mount one."""
    with ExitStack() as stack:

        def make(mib: int) -> SmallDisk:
            place = folder.parent / "disk"
            place.mkdir()
            try:
                made = SmallDisk(place, mib)
            except (NoDisk, FileNotFoundError) as error:
                pytest.skip(str(error))
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """A store that speaks S3, with its buckets in memory."""
    server = S3()
    yield server
    server.close()


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The same, with this process's credentials for it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return s3_server
