"""Direct uploads: clients PUT their file into the store itself, and its batch starts when it is found there.

look (every few seconds) → collect → reading.read
"""

import asyncio
import logging
import secrets
from datetime import datetime, timedelta

from caravan.engine.engine import Engine
from caravan.engine.file_job import fail
from caravan.engine.start import UPLOAD_TIME, Upload, start_reading
from caravan.errors import FileFailed, FileFailure, Unavailable
from caravan.queue import transient
from caravan.store import batches, direct_uploads
from caravan.store.batches import Batch, BatchState, Source
from caravan.store.database import Connection
from caravan.store.inbox import Arrival, Inbox

_LATE = timedelta(hours=1)  # a PUT that began in time may end later, and the store tells nothing of it till then
_STRAYS = timedelta(days=1)  # after this, no URL of a batch is good any more
_log = logging.getLogger(__name__)


async def upload_url(engine: Engine, batch: str) -> str:
    """The store's own URL to PUT the batch's file to, good for 12 hours. Raises `Unavailable` without credentials."""
    inbox = engine.files.inbox
    assert inbox is not None  # bootstrap.py sees to it
    # Not in a shared thread: the caller has a transaction open, and shared threads may be waiting for a slow store.
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(inbox.signing, inbox.url, batch, int(UPLOAD_TIME.total_seconds()))


async def look(engine: Engine) -> None:
    """Collect what clients have put; batches for which nothing came in time expire."""
    inbox = engine.files.inbox
    async with engine.pool.connection() as connection:
        waiting = await direct_uploads.awaited(connection)
    if inbox is None or not waiting:
        return
    try:
        arrived = {each.batch for each in await asyncio.to_thread(inbox.arrivals)}
    except Unavailable as error:
        _log.warning("Can't look for uploads: %s", error)
        await _note(engine, transient.describe(error))
        return
    await _note(engine, None)
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        for each in waiting:
            if each.id in arrived:
                await _announce(engine, connection, each.id)
            elif now >= each.expires_at + _LATE:
                await _expire(connection, each.id, now)


async def _note(engine: Engine, hindrance: str | None) -> None:
    """Say on all batches that await a direct upload why no process can look for it, or that one can again."""
    async with engine.pool.connection() as connection:
        await direct_uploads.note_hindrance(connection, hindrance)


async def _announce(engine: Engine, connection: Connection, batch: str) -> None:
    """The batch's file is there: have it collected. Again at each look until it is, should that job get lost."""
    async with connection.transaction():
        if await batches.set_state(connection, batch, BatchState.RECEIVING, direct_uploads.WAITING):
            await engine.jobs.collect(connection, batch)


async def _expire(connection: Connection, batch_id: str, now: datetime) -> None:
    async with connection.transaction():
        batch = await batches.lock(connection, batch_id)
        if batch.state in direct_uploads.WAITING:
            sentence = "No file came within 12 hours; POST to batchtrigger/v2 for a new uploadUrl."
            await batches.end(connection, batch.id, BatchState.EXPIRED, now, error=sentence)


async def collect(engine: Engine, batch_id: str) -> None:
    """Take a batch's file out of the inbox and start the batch; what is put there later no longer matters."""
    async with engine.pool.connection() as connection:
        batch = await batches.get(connection, batch_id)
    inbox = engine.files.inbox
    if inbox is None or batch.source != Source.DIRECT or batch.state != BatchState.RECEIVING:
        return
    arrival = await asyncio.to_thread(inbox.arrival, batch.id)
    if arrival is None:
        async with engine.pool.connection() as connection:
            await batches.set_state(connection, batch.id, BatchState.AWAITING_UPLOAD, (BatchState.RECEIVING,))
    elif arrival.bytes > engine.settings.max_file_bytes:
        sentence = f"The file is larger than the {engine.settings.max_file_bytes:,} bytes that this server takes."
        await fail(engine, batch.id, FileFailed(FileFailure.TOO_LARGE, sentence))
        await asyncio.to_thread(inbox.drop, batch.id)
    else:
        await _take(engine, inbox, batch, arrival)


async def _take(engine: Engine, inbox: Inbox, batch: Batch, arrival: Arrival) -> None:
    name = f"{batch.folder}/upload-{secrets.token_hex(4)}"
    if not await asyncio.to_thread(inbox.take, arrival, name):
        return  # replaced just now: the next look finds what is there then
    async with engine.pool.connection() as connection, connection.transaction():
        current = await batches.lock(connection, batch.id)
        wanted = current.state == BatchState.RECEIVING
        if wanted:
            await start_reading(engine, connection, current, Upload(name, arrival.bytes))
    if not wanted:
        await asyncio.to_thread(engine.files.delete, name)
    await asyncio.to_thread(inbox.drop, batch.id)


async def sweep(engine: Engine) -> None:
    """Drop what was put for batches that no longer wait for it: a second PUT, or one after a cancel."""
    inbox = engine.files.inbox
    if inbox is None:
        return
    async with engine.pool.connection() as connection:
        if not await direct_uploads.had_any(connection, engine.clock.now() - UPLOAD_TIME - _STRAYS):
            return
    arrived = {each.batch for each in await asyncio.to_thread(inbox.arrivals)}
    async with engine.pool.connection() as connection:
        strays = await direct_uploads.strays(connection, arrived)
    for batch in strays:
        await asyncio.to_thread(inbox.drop, batch)
