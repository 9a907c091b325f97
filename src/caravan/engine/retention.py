"""Retention: the contacts of ended batches go after a set time, or at once by command; the ledger stays."""

import asyncio
import logging
from datetime import timedelta

from caravan.engine.engine import Engine, Note
from caravan.errors import Conflict, InvalidInput, NotFound, Unavailable
from caravan.store import batches, customers, dead_letters, hits, journal, retention, returns, sandbox, spans
from caravan.store.batches import Batch, BatchState
from caravan.store.database import Connection

LONGEST = 36_500  # days that contacts can be kept
_log = logging.getLogger(__name__)
_UNUSED = timedelta(minutes=1)  # after its end, no worker still reads a file for a batch that was cancelled
_UNREAD = (BatchState.AWAITING_UPLOAD, BatchState.RECEIVING, BatchState.READING)
_SETTLED = timedelta(hours=1)  # after its end, no worker can be about to name one of a batch's files any more


async def set_days(connection: Connection, customer: int, days: int | None) -> None:
    """Keep the contacts of a customer's ended batches for so many days; None: for as long as the installation's setting
    says. Raises `InvalidInput`, and `NotFound` if there is no such customer."""
    if days is not None and not 0 <= days <= LONGEST:
        raise InvalidInput(f"Contacts are kept for 0 to {LONGEST:,} days, not {days:,}.")
    if not await customers.has_customer(connection, customer):
        raise NotFound(f"There is no customer {customer}; `caravan customers list` shows all.")
    await customers.set_retention(connection, customer, days)


async def forget(engine: Engine, customer: int, batch_id: str, note: Note | None = None) -> None:
    """Delete a batch's contacts, rejects and journal now; `note` is called in the transaction that does, if there is
    still something to delete. Raises `Conflict` while anybody still stands in it."""
    async with engine.pool.connection() as connection:
        await batches.of_customer(connection, customer, batch_id)
    await _forget(engine, batch_id, note)


async def _forget(engine: Engine, batch_id: str, note: Note | None = None) -> None:
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
        await sandbox.forget(connection, [batch.id])
        await hits.forget_batch(connection, batch.id)
        await dead_letters.forget(connection, batch.id)
        await returns.forget(connection, batch.id)
        await retention.forget(connection, batch.id, engine.clock.now())
        if note is not None:
            await note(connection)


async def _check(connection: Connection, batch: Batch) -> None:
    """Raise `Conflict` while the batch's files are needed."""
    if not batch.ended:
        raise Conflict(f"Batch {batch.id} is {batch.shown_state}; cancel it before it can be forgotten.")
    if await batches.being_restarted(connection, batch.id):
        raise Conflict(f"Contacts of batch {batch.id} are being read for a new batch; forget it when that has begun.")
    if not await retention.is_empty(connection, batch.id):
        raise Conflict(
            f"The cancel of batch {batch.id} is still carried out; forget it when nobody stands any more, and if "
            "`waitingFor` says that somebody is stuck, retry it."
        )


async def forget_outlived(engine: Engine) -> None:
    """Forget the batches that have been kept for long enough."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        found = await retention.outlived(connection, now, engine.settings.retention_days)
    for each in found:
        try:
            await _forget(engine, each)
        except Unavailable:
            raise  # it would be so for all
        except Exception as error:  # one that can't be deleted keeps no other
            _log.warning("Can't forget batch %s just now: %s", each, error)


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
        await retention.forget_file(connection, batch.id, batch.file)


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
        found = await retention.with_read_files(connection, engine.clock.now() - _UNUSED)
    for each in found:
        await delete_file(engine, each)


async def sweep(engine: Engine) -> None:
    """Delete the files of ended batches that no row names: what moves wrote that were never committed."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        found = await retention.unswept(connection, now - _SETTLED)
    for each in found:
        try:
            await _sweep(engine, each)
        except Unavailable:
            raise
        except Exception as error:
            _log.warning("Can't sweep batch %s just now: %s", each, error)


async def _sweep(engine: Engine, batch: str) -> None:
    async with engine.pool.connection() as connection:
        named = await retention.named_files(connection, batch)
    await asyncio.to_thread(_delete_others, engine, f"batches/{batch}", named)
    async with engine.pool.connection() as connection:
        await retention.set_swept(connection, batch, engine.clock.now())


def _delete_others(engine: Engine, folder: str, named: set[str]) -> None:
    for name in engine.files.names(folder):
        if name not in named:
            engine.files.delete(name)
