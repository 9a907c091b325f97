"""Tells the operator of a running `caravan up` what happens in it, on a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from caravan.clock import Clock
from caravan.queries.notices import Notices
from caravan.store.database import lazy_pool

_LOOK_EVERY = 5.0  # seconds
_log = logging.getLogger(__name__)


@contextmanager
def operator_told(url: str, say: Callable[[str], None]) -> Iterator[None]:
    """Look every few seconds, until the end of the block, for what an operator should know, and `say` it."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_watch(url, say, stop)), name="notices")
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _watch(url: str, say: Callable[[str], None], stop: asyncio.Event) -> None:
    notices = Notices(Clock().now())
    async with lazy_pool(url) as pool:
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_EVERY)
                return
            try:
                async with pool.connection(timeout=_LOOK_EVERY) as connection:
                    for sentence in await notices.look(connection):
                        say(sentence)
            except Exception as error:  # the keeper of the database tells that it is away
                _log.debug("Can't look for notices just now: %s", error)
