"""Retention: the contacts of ended batches go after a set time, or at once by command; the ledger stays."""

import asyncio
import logging
from datetime import timedelta

from caravan.engine.engine import Engine
from caravan.errors import Conflict, Unavailable
from caravan.store import batches, journal, spans, sql
from caravan.store.batches import Batch, BatchState
from caravan.store.database import Connection, row, rows

_BATCHES = sql.load("caravan.store", "batches.sql")
_COHORTS = sql.load("caravan.store", "cohorts.sql")
_log = logging.getLogger(__name__)
_UNUSED = timedelta(minutes=1)  # after its end, no worker still reads a file for a batch that was cancelled
_UNREAD = (BatchState.AWAITING_UPLOAD, BatchState.RECEIVING, BatchState.READING)
_SETTLED = timedelta(hours=1)  # after its end, no worker can be about to name one of a batch's files any more


async def forget(engine: Engine, customer: int, batch_id: str) -> None:
    """Delete a batch's contacts, rejects and journal now. Raises `Conflict` while anybody still stands in it."""
    async with engine.pool.connection() as connection:
        await batches.of_customer(connection, customer, batch_id)
    await _forget(engine, batch_id)


async def _forget(engine: Engine, batch_id: str) -> None:
    """First the files, with nothing locked: there may be many, and the store may be slow. If it ends in between, the
    rows name what is gone, and forgetting again is harmless."""
    async with engine.pool.connection() as connection, connection.transaction():
        batch = await batches.lock(connection, batch_id)
        if batch.forgotten_at is not None:
            return
        await _check(connection, batch)
    await asyncio.to_thread(engine.files.delete_folder, batch.folder)
    async with engine.pool.connection() as connection, connection.transaction():
        await batches.lock(connection, batch_id)
        await spans.delete_of_batch(connection, batch.id)
        await journal.forget(connection, batch.id)
        await connection.execute(_COHORTS.delete_of_batch, {"batch": batch.id})
        await connection.execute(_BATCHES.set_forgotten, {"id": batch.id, "now": engine.clock.now()})


async def _check(connection: Connection, batch: Batch) -> None:
    """Raise `Conflict` while the batch's files are needed."""
    if not batch.ended:
        raise Conflict(f"Batch {batch.id} is {batch.shown_state}; cancel it before it can be forgotten.")
    standing = await row(connection, _COHORTS.any_standing, batch=batch.id)
    waiting = await row(connection, _BATCHES.has_arrivals, id=batch.id)
    if (standing and standing["there"]) or (waiting and waiting["there"]):
        raise Conflict(
            f"The cancel of batch {batch.id} is still carried out; forget it when nobody stands any more, and if "
            "`waitingFor` says that somebody is stuck, retry it."
        )


async def forget_outlived(engine: Engine) -> None:
    """Forget the batches that have been kept for long enough."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        found = await rows(connection, _BATCHES.outlived, now=now, days=engine.settings.retention_days)
    for each in found:
        try:
            await _forget(engine, each["id"])
        except Unavailable:
            raise  # it would be so for all
        except Exception as error:  # one that can't be deleted keeps no other
            _log.warning("Can't forget batch %s just now: %s", each["id"], error)


async def delete_file(engine: Engine, batch_id: str) -> None:
    """Delete the file that a batch was read from, unless the settings keep it: its contacts are in the cohorts.

    Nothing happens before the commit by which everybody entered. The row names the file until it is gone, so that
    whatever ends in between, `delete_read_files` does it again.
    """
    if engine.settings.keep_uploads:
        return
    async with engine.pool.connection() as connection:
        batch = await batches.get(connection, batch_id)
    if batch.file is None or batch.state in _UNREAD:
        return
    await asyncio.to_thread(engine.files.delete, batch.file)
    async with engine.pool.connection() as connection:
        await connection.execute(_BATCHES.forget_file, {"id": batch.id, "file": batch.file})


async def delete_file_soon(engine: Engine, batch_id: str) -> None:
    """The same, where nothing is lost if it has to wait for `delete_read_files`."""
    try:
        await delete_file(engine, batch_id)
    except Exception as error:
        _log.warning("Can't delete the file of batch %s just now: %s", batch_id, error)


async def delete_read_files(engine: Engine) -> None:
    """Delete the files whose deletion failed or was cut short, and those of batches that ended unread."""
    if engine.settings.keep_uploads:
        return
    async with engine.pool.connection() as connection:
        found = await rows(connection, _BATCHES.read_files, before=engine.clock.now() - _UNUSED)
    for each in found:
        await delete_file(engine, each["id"])


async def sweep(engine: Engine) -> None:
    """Delete the files of ended batches that no row names: what moves wrote that were never committed."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        found = await rows(connection, _BATCHES.unswept, before=now - _SETTLED)
    for each in found:
        try:
            await _sweep(engine, each["id"])
        except Unavailable:
            raise
        except Exception as error:
            _log.warning("Can't sweep batch %s just now: %s", each["id"], error)


async def _sweep(engine: Engine, batch: str) -> None:
    async with engine.pool.connection() as connection:
        named = {each["file"] for each in await rows(connection, _BATCHES.named_files, id=batch)}
    await asyncio.to_thread(_delete_others, engine, f"batches/{batch}", named)
    async with engine.pool.connection() as connection:
        await connection.execute(_BATCHES.set_swept, {"id": batch, "now": engine.clock.now()})


def _delete_others(engine: Engine, folder: str, named: set[str]) -> None:
    for name in engine.files.names(folder):
        if name not in named:
            engine.files.delete(name)
