"""Doing something every few seconds, for as long as something else lasts: the one loop for all that watches."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

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
        task.cancel()
        await asyncio.wait([task])


async def _repeat(seconds: float, work: Callable[[], Awaitable[object]], name: str, *, at_once: bool) -> None:
    if not at_once:
        await asyncio.sleep(seconds)
    while True:
        try:
            await work()
        except Exception as error:
            _log.warning("Can't %s just now: %s", name, error)
        await asyncio.sleep(seconds)
