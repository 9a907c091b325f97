"""Which batches receive their file just now: those to which a PUT is under way, in whichever process of the API.

Each PUT has a row, which its process renews every few seconds. So of two PUTs to one batch either may break off, and
the row of a process that was killed is known by its silence.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from caravan.engine.engine import Engine
from caravan.every import every
from caravan.store import batches, puts
from caravan.store.batches import BatchState
from caravan.store.database import Connection

_SEEN_EVERY = 2.5  # seconds between two signs of life of a PUT
_SILENCE = 20.0  # seconds without one after which it is gone


@asynccontextmanager
async def receiving(engine: Engine, batch: str) -> AsyncIterator[None]:
    """A PUT of the batch's file is under way. If it was the only one and breaks off, the batch awaits its file as
    before."""
    put = secrets.token_hex(8)
    await _note(engine, batch, put)
    try:
        async with every(_SEEN_EVERY, lambda: _note(engine, batch, put), f"note that a PUT to {batch} is under way"):
            yield
    finally:
        with suppress(Exception):  # forget_silent does it in the end
            await asyncio.shield(_forget(engine, batch, put))


def arrived(engine: Engine, batch: str) -> int:
    """Bytes of the batch's file that the PUT which is under way at this machine has brought so far; 0 if there is none.
    Blocks."""
    sizes = []
    for each in engine.uploads.glob(f"{batch}-*"):
        with suppress(FileNotFoundError):  # it has just ended
            sizes.append(each.stat().st_size)
    return max(sizes, default=0)


async def _note(engine: Engine, batch: str, put: str) -> None:
    async with engine.pool.connection() as connection, connection.transaction():
        await batches.lock(connection, batch)
        await puts.note(connection, batch, put)
        await batches.set_state(connection, batch, BatchState.RECEIVING, (BatchState.AWAITING_UPLOAD,))


async def _forget(engine: Engine, batch: str, put: str) -> None:
    async with engine.pool.connection() as connection, connection.transaction():
        await batches.lock(connection, batch)
        await puts.forget(connection, put)
        await _await_file_again(connection, batch)


async def _await_file_again(connection: Connection, batch: str) -> None:
    """Unless there is another PUT, or the file. The caller has the batch locked."""
    if not await puts.are_any(connection, batch):
        await batches.set_state(connection, batch, BatchState.AWAITING_UPLOAD, (BatchState.RECEIVING,))


async def forget_silent(engine: Engine, silence: float = _SILENCE) -> None:
    """Forget the PUTs that ended with their process."""
    async with engine.pool.connection() as connection:
        for batch in await puts.silent(connection, silence):
            async with connection.transaction():
                await batches.lock(connection, batch)
                await puts.forget_silent(connection, batch, silence)
                await _await_file_again(connection, batch)
