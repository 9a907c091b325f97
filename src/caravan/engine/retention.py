"""Retention: the contacts of ended batches go after a set time, or at once by command; the ledger stays."""

import asyncio
from datetime import timedelta

from caravan.engine.engine import Engine
from caravan.errors import Conflict
from caravan.store import batches, spans, sql
from caravan.store.batches import Batch
from caravan.store.database import Connection, row, rows

_BATCHES = sql.load("caravan.store", "batches.sql")
_COHORTS = sql.load("caravan.store", "cohorts.sql")
_LEDGER = sql.load("caravan.store", "ledger.sql")
_SETTLED = timedelta(hours=1)  # after its end, nobody can be about to name one of a batch's files any more


async def forget(engine: Engine, connection: Connection, customer: int, batch_id: str) -> Batch:
    """Delete a batch's contacts, rejects and journal now. Raises `Conflict` while anybody still stands in it."""
    await batches.of_customer(connection, customer, batch_id)
    return await _forget(engine, connection, batch_id)


async def _forget(engine: Engine, connection: Connection, batch_id: str) -> Batch:
    async with connection.transaction():
        batch = await batches.lock(connection, batch_id)
        if batch.forgotten_at is not None:
            return batch
        standing = await row(connection, _COHORTS.any_standing, batch=batch.id)
        waiting = await row(connection, _BATCHES.has_arrivals, id=batch.id)
        if not batch.ended:
            raise Conflict(f"Batch {batch.id} is {batch.shown_state}; cancel it before it can be forgotten.")
        if (standing and standing["there"]) or (waiting and waiting["there"]):
            raise Conflict(
                f"The cancel of batch {batch.id} is still carried out; forget it when nobody stands any more, and if "
                "`waitingFor` says that somebody is stuck, retry it."
            )
        # Before the commit: if it fails, the rows still name what may be gone, and forgetting again is harmless.
        await asyncio.to_thread(engine.files.delete_folder, batch.folder)
        await spans.delete_of_batch(connection, batch.id)
        await connection.execute(_LEDGER.delete_journal, {"batch": batch.id})
        await connection.execute(_COHORTS.delete_of_batch, {"batch": batch.id})
        await connection.execute(_BATCHES.set_forgotten, {"id": batch.id, "now": engine.clock.now()})
        return await batches.get(connection, batch.id)


async def forget_outlived(engine: Engine) -> None:
    """Forget the batches that have been kept for long enough."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        found = await rows(connection, _BATCHES.outlived, now=now, days=engine.settings.retention_days)
    for each in found:
        async with engine.pool.connection() as connection:
            await _forget(engine, connection, each["id"])


async def sweep(engine: Engine) -> None:
    """Delete the files of ended batches that no row names: what moves wrote that were never committed."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        found = await rows(connection, _BATCHES.unswept, before=now - _SETTLED)
    for each in found:
        async with engine.pool.connection() as connection:
            named = {one["file"] for one in await rows(connection, _BATCHES.named_files, id=each["id"])}
            await asyncio.to_thread(_delete_others, engine, f"batches/{each['id']}", named)
            await connection.execute(_BATCHES.set_swept, {"id": each["id"], "now": now})


def _delete_others(engine: Engine, folder: str, named: set[str]) -> None:
    for name in engine.files.names(folder):
        if name not in named:
            engine.files.delete(name)
