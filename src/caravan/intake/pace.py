"""How slowly a transfer may come before it counts as standing still: its sender may have vanished unnoticed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

_FLOOR: Final = 1024  # bytes a second


class StoodStill(Exception):
    """Too little came. The text is a clause, like "nothing came for 60 seconds"."""


async def paced(chunks: AsyncIterator[bytes], silence: float, stretch: float) -> AsyncIterator[bytes]:
    """The chunks, as they come.

    Raises `StoodStill` when nothing comes for `silence` seconds, or less than 1 KiB a second over `stretch` seconds.
    Only the time counts in which we wait for the sender: that our disk is slow is not its fault.
    """
    clock = asyncio.get_running_loop().time
    waited, came = 0.0, 0
    while True:
        asked = clock()
        try:
            async with asyncio.timeout(silence):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise StoodStill(f"nothing came for {silence:g} seconds") from None
        waited, came = waited + clock() - asked, came + len(chunk)
        yield chunk
        if waited >= stretch:
            if came < _FLOOR * stretch:
                raise StoodStill("it stood nearly still")
            waited, came = 0.0, 0
