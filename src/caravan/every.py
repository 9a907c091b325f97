"""Doing something every few seconds, for as long as something else lasts: the one loop for all that watches."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

_HEARD = 1.0  # seconds in which a cancelled task should have ended
_log = logging.getLogger(__name__)


@asynccontextmanager
async def every(
    seconds: float, work: Callable[[], Awaitable[object]], name: str, *, at_once: bool = False
) -> AsyncIterator[None]:
    """Do `work` every so many seconds while the block lasts; `at_once`: for the first time at its beginning.

    The pause begins when `work` is done, so it never runs twice at a time. If it fails, this is logged as "Can't `name`
    just now", and it is done again after the next pause. At the end of the block it is cancelled and waited for.
    """
    task = asyncio.create_task(_repeat(seconds, work, name, at_once=at_once), name=name)
    try:
        yield
    finally:
        # Until it is heard: a library that is cancelled in the middle of a call may answer with an error of its own.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_HEARD)


async def _repeat(seconds: float, work: Callable[[], Awaitable[object]], name: str, *, at_once: bool) -> None:
    if not at_once:
        await asyncio.sleep(seconds)
    while True:
        try:
            await work()
        except Exception as error:
            _log.warning("Can't %s just now: %s", name, error)
        await asyncio.sleep(seconds)
