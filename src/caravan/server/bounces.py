"""The process that takes mail which comes back: `caravan bounces`."""

import asyncio
import signal

import uvloop

from caravan.bootstrap import open_engine
from caravan.errors import InvalidSetting, Unavailable
from caravan.returns.receiver import receiving
from caravan.server.leash import obey
from caravan.settings import Settings
from caravan.store.migrate import check_schema


def run_bounces(settings: Settings) -> None:
    """Take bounces until a signal. Raises `InvalidSetting` where the settings don't say where and for which domain, and
    `Unavailable` where it can't listen there."""
    if settings.bounce_domain is None or settings.bounce_url is None:
        raise InvalidSetting(
            "Set CARAVAN_BOUNCE_DOMAIN to the domain that bounces come to, like bounces.example.com, and "
            "CARAVAN_BOUNCE_URL to where they are taken, like lmtp://127.0.0.1:2424."
        )
    obey()
    uvloop.run(_take(settings))


async def _take(settings: Settings) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_engine(settings) as (engine, _):
        async with engine.pool.connection() as connection:
            await check_schema(connection)
        try:
            async with receiving(engine) as (host, port):
                print(f"Bounces to {settings.bounce_domain} are taken at {host}:{port}.", flush=True)
                await stop.wait()
        except OSError as error:
            raise Unavailable(f"Can't listen at {settings.bounce_url}: {error.strerror or error}.") from None
