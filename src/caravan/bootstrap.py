"""Where the real parts are put together. Tests put together others."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

from procrastinate import App

from caravan.channels.registry import CHANNELS, step_types
from caravan.clock import Clock
from caravan.delivery.channel_type import ChannelType
from caravan.delivery.gates import GATES, GateType
from caravan.engine.engine import Engine, Journeys
from caravan.errors import InvalidSetting
from caravan.queue.job_manager import queue_app
from caravan.queue.jobs import Jobs
from caravan.queue.recovery import clear_left
from caravan.settings import Settings, Uploads
from caravan.store.database import connect
from caravan.store.files import Files, open_files
from caravan.store.metrics import reported
from caravan.store.process_locks import OwnFolder, make_private


@asynccontextmanager
async def open_engine(
    settings: Settings,
    clock: Clock | None = None,
    channels: Sequence[ChannelType[Any]] = CHANNELS,
    gates: Sequence[GateType] = GATES,
) -> AsyncIterator[tuple[Engine, App]]:
    """The engine of this process and its queue, on the database that the settings name. Raises `InvalidSetting`, also
    for the settings of a channel."""
    for channel in channels:
        channel.settings.read()
    if settings.database_url is None:
        raise InvalidSetting("No database: set CARAVAN_DATABASE_URL, or use `caravan up`.")
    clock = clock or Clock()
    async with connect(settings.database_url, size=settings.database_connections) as pool:
        app = queue_app()
        async with app.open_async(pool):
            make_private(settings.folder)
            clear_left(settings.folder)
            with (
                closing(OwnFolder(settings.folder / "scratch")) as scratch,
                closing(OwnFolder(settings.folder / "uploads")) as uploads,
                closing(_open_files(settings)) as files,
            ):
                jobs = Jobs(app, clock)
                journeys = Journeys(step_types(channels))
                engine = Engine(
                    settings, pool, files, clock, jobs, journeys, scratch.path, uploads.path, channels, gates
                )
                async with reported(pool, engine.metrics):
                    yield engine, app


def _open_files(settings: Settings) -> Files:
    files = open_files(
        settings.files_url,
        settings.folder,
        endpoint=settings.files_endpoint_url,
        public=settings.files_public_endpoint_url,
    )
    if settings.uploads is Uploads.DIRECT and files.inbox is None:
        files.close()
        raise InvalidSetting("CARAVAN_UPLOADS can be direct only where CARAVAN_FILES_URL is s3://…")
    return files
