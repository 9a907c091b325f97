"""Very many open pages of the console: each holds its stream, as a browser's tab does."""

import asyncio
import resource
from dataclasses import dataclass

import aiohttp

from caravan.bench.measure import now
from caravan.errors import Unavailable

_SPARE = 256  # open files besides those of the streams


@dataclass(frozen=True, slots=True)
class Audience:
    """Who watches: so many pages with this stream, for so many seconds."""

    base: str
    path: str
    cookie: str
    pages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What all of them together got, and in how many seconds."""

    events: int
    seconds: float


def audience(watching: Audience) -> Heard:
    """Open the streams, keep them open, and count what comes. Raises `Unavailable` if one is refused or ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = watching.pages + _SPARE
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    return asyncio.run(_watch(watching))


async def _watch(watching: Audience) -> Heard:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        watching.base, headers={"Cookie": watching.cookie}, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        begin = now()
        heard = await asyncio.gather(*(_stream(session, watching) for _ in range(watching.pages)))
        await asyncio.sleep(watching.seconds - (now() - begin))
        return Heard(sum(heard), now() - begin)


async def _stream(session: aiohttp.ClientSession, watching: Audience) -> int:
    """How many events came on one page."""
    events = 0
    try:
        async with asyncio.timeout(watching.seconds):
            while True:
                async with session.get(watching.path, timeout=aiohttp.ClientTimeout(total=None)) as answer:
                    if answer.status != 200:
                        raise Unavailable(f"A stream was answered with {answer.status}.")
                    ended = False
                    async for line in answer.content:
                        events += line.startswith(b"event: ")
                        ended = ended or line.startswith(b"event: end")
                if ended:  # there will be no more, and the page knows
                    await asyncio.sleep(watching.seconds)
    except TimeoutError:
        return events
