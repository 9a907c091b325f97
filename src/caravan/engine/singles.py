"""Singles are gathered: those that have arrived by now become one cohort."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa

from caravan.engine.advance import enter_part
from caravan.engine.engine import Engine
from caravan.errors import Conflict, Unavailable
from caravan.queue import transient
from caravan.steps.cohort_files import scratch_file
from caravan.store import arrivals, batches
from caravan.store.arrivals import Arrived
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import CONTACTS, Part, with_lines, write_contacts
from caravan.store.database import Connection

_GATHERED_BYTES = 32 << 20  # of properties in one cohort of singles
_HASTE = 0.5  # seconds that a call may wait for the store


async def gather(engine: Engine, batch_id: str, stopping: asyncio.Event | None = None) -> None:
    """Make cohorts of the singles that have arrived by now; those that come meanwhile have a job of their own. In a
    cancelled batch they leave as soon as they have entered."""
    try:
        last = await _last_arrival(engine, batch_id)
        while last is not None and await _gather_some(engine, batch_id, last):
            if stopping is not None and stopping.is_set():
                async with engine.pool.connection() as connection:
                    await engine.jobs.gather(connection, batch_id)
                return
    except Exception as error:
        async with engine.pool.connection() as connection:
            await batches.note_hindrance(connection, batch_id, transient.describe(error))
        raise


async def _last_arrival(engine: Engine, batch_id: str) -> int | None:
    """The last one that is there by now. It waits for those that are about to come: they have found this job in the
    queue and brought none of their own, as later ones do."""
    async with engine.pool.connection() as connection, connection.transaction():
        await batches.lock(connection, batch_id)
        return await arrivals.last(connection, batch_id)


async def _gather_some(engine: Engine, batch_id: str, last: int) -> bool:
    """Make one cohort of those up to the arrival `last`; False if none of them waits. Its file is written before the
    batch is locked: while the store is slow or away, others arrive, move and are recalled."""
    async with engine.pool.connection() as connection:
        batch = await batches.get(connection, batch_id)
        arrived = await _arrivals(engine, connection, batch_id, last)
    if not arrived or batch.state not in (BatchState.RUNNING, BatchState.CANCELLED):
        return False
    part = await asyncio.to_thread(_store, engine, batch, arrived)
    async with engine.pool.connection() as connection, connection.transaction():
        if await _take(connection, batch, arrived):
            await enter_part(engine, connection, await batches.get(connection, batch_id), part)
            return True
    await asyncio.to_thread(engine.files.delete, part.file)  # another gathering came first
    return True


async def _arrivals(engine: Engine, connection: Connection, batch: str, last: int) -> list[Arrived]:
    """Those that are gathered together: as many as a cohort takes, and as many as memory should."""
    return await arrivals.oldest(connection, batch, last, engine.settings.cohort_size, _GATHERED_BYTES)


async def _take(connection: Connection, seen: Batch, arrived: Sequence[Arrived]) -> bool:
    """Take these out of those that wait; False if others were gathered since the batch was seen. It stays locked."""
    batch = await batches.lock(connection, seen.id)
    if batch.lines != seen.lines:
        return False
    if await arrivals.take(connection, arrived) < len(arrived):
        raise Conflict(f"Some singles of batch {batch.id} were taken twice.")
    return True


async def recall_arrivals(engine: Engine, connection: Connection, batch: Batch) -> None:
    """Singles of a cancelled batch that are not gathered yet leave too. The caller has it locked, so where the store is
    slow or away they are left to a job."""
    last = await arrivals.last(connection, batch.id)
    if last is None:
        return
    arrived = await _arrivals(engine, connection, batch.id, last)
    with suppress(Unavailable, OSError, TimeoutError):
        part = await asyncio.wait_for(asyncio.to_thread(_store, engine, batch, arrived), _HASTE)
        if await _take(connection, batch, arrived):
            await enter_part(engine, connection, batch, part)
    await engine.jobs.gather(connection, batch.id)


def _store(engine: Engine, batch: Batch, arrived: Sequence[Arrived]) -> Part:
    """A cohort's file; a single's line is its place among the singles of the batch."""
    line = batch.lines + 1
    columns = [
        range(line, line + len(arrived)),
        [each.contact for each in arrived],
        [each.properties for each in arrived],
    ]
    # No two share a file, also where the first is cut off and goes on all the same.
    name = with_lines(f"{batch.folder}/singles-{secrets.token_hex(4)}.parquet", line, line + len(arrived) - 1)
    with scratch_file(engine.scratch) as local:
        write_contacts(pa.table([pa.array(each) for each in columns], schema=CONTACTS), local)
        engine.files.put(local, name)
    return Part(name, len(arrived))
