"""Where the real parts are put together. Tests put together others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from procrastinate import App

from caravan.clock import Clock
from caravan.engine.engine import Engine, Journeys
from caravan.engine.jobs import Jobs
from caravan.engine.recovery import queue_app
from caravan.errors import InvalidSetting
from caravan.settings import Settings
from caravan.store.database import connect
from caravan.store.files import open_files


@asynccontextmanager
async def open_engine(settings: Settings, clock: Clock | None = None) -> AsyncIterator[tuple[Engine, App]]:
    """The engine of this process and its queue, on the database that the settings name."""
    if settings.database_url is None:
        raise InvalidSetting("No database: set CARAVAN_DATABASE_URL, or use `caravan up`.")
    clock = clock or Clock()
    async with connect(settings.database_url, size=20) as pool:
        app = queue_app()
        async with app.open_async(pool):
            files = open_files(settings.files_url, settings.folder)
            yield Engine(settings, pool, files, clock, Jobs(app, clock), Journeys()), app
