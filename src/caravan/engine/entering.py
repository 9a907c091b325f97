"""Entering: what reading made of a file is committed, and everybody stands at the journey's first step at once."""

from caravan.engine.advance import finish_if_empty, open_cohorts
from caravan.engine.engine import Engine
from caravan.engine.openings import step_of
from caravan.errors import FileFailed
from caravan.store import batches, spans
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import Opening
from caravan.store.spans import Receipt


async def enter(engine: Engine, batch: Batch, read: Receipt, failure: FileFailed | None) -> bool:
    """Commit the ledger's first lines of a whole file, and the cohorts at the first step, or why there are none. False
    if the batch no longer awaits that."""
    async with engine.pool.connection() as connection, connection.transaction():
        now = engine.clock.now()
        current = await batches.lock(connection, batch.id)
        if current.state != BatchState.READING:
            return False
        await batches.set_read(connection, batch.id, read)
        await spans.delete_of_batch(connection, batch.id)
        if failure is not None:
            await batches.end(connection, batch.id, BatchState.FAILED, now, code=failure.code, error=failure.message)
            return True
        current = await batches.set_running(connection, batch.id, now)
        assert batch.version is not None
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        first = journey.entry.id
        due = step_of(journey, first).due(now)
        openings = [Opening(first, part, visit=0, due_at=due) for part in read.parts]
        await open_cohorts(engine, connection, current, journey, openings)
        await finish_if_empty(connection, await batches.get(connection, batch.id), now)
        return True
