"""Replaying dead letters: contacts that failed at a step are sent to once more, also after their batch ended.

They stand at the step again, in the same batch and with the same delivery keys, so that whatever holds of a send holds
of this one: windows, retries, pauses, the ledger. Since they had gone on when they failed, they go no further from it.
"""

import asyncio
import secrets

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.engine.advance import open_cohorts
from caravan.engine.engine import Engine
from caravan.errors import Conflict, Gone, NotFound
from caravan.steps.cohort_files import scratch_file
from caravan.store import batches, dead_letters, gone_endpoints
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import Opening, Part
from caravan.store.database import Connection
from caravan.store.dead_letters import Letters
from caravan.store.files import Draft


async def replay(engine: Engine, connection: Connection, customer: int, batch_id: str, step: str, count: int) -> Batch:
    """Send all dead letters of a step once more, if there are `count` of them. Raises `Conflict` if there are not, or
    where nothing can be sent any more."""
    async with connection.transaction():
        batch = await _locked(connection, customer, batch_id)
        letters = await dead_letters.of_batch(connection, batch.id, step)
        there = sum(each.part.size for each in letters)
        if there != count or not letters:
            raise Conflict(f"Step {step} has {there:,} dead letters, not {count:,}; look at them again.")
        return await _reopen(engine, connection, batch, letters, letters)


async def replay_one(
    engine: Engine, connection: Connection, customer: int, batch_id: str, step: str, contact: str
) -> Batch:
    """Send the dead letters of one contact at a step once more. Raises `NotFound` if it has none there, `Conflict`
    where nothing can be sent any more."""
    async with connection.transaction():
        batch = await _locked(connection, customer, batch_id)
        letters = await dead_letters.of_batch(connection, batch.id, step)
        with Draft(engine.files) as draft:
            halves = await asyncio.to_thread(_split, engine, draft, batch, letters, contact)
            if not halves:
                raise NotFound(f"Contact {contact!r} has no dead letter at step {step} of batch {batch.id}.")
            chosen = [Letters(old.id, old.step, old.visit, one, old.reason, old.at) for old, one, _ in halves]
            reopened = await _reopen(engine, connection, batch, [old for old, _, _ in halves], chosen)
            for old, _, rest in halves:
                if rest is not None:
                    await dead_letters.add(connection, batch.id, step, old.visit, rest, old.reason, old.at)
            return reopened


async def _locked(connection: Connection, customer: int, batch_id: str) -> Batch:
    await batches.of_customer(connection, customer, batch_id)
    batch = await batches.lock(connection, batch_id)
    if batch.forgotten_at is not None:
        raise Gone(f"The contacts of batch {batch.id} were deleted on {batch.forgotten_at:%Y-%m-%d}; its ledger stays.")
    if batch.state not in (BatchState.RUNNING, BatchState.COMPLETED):
        raise Conflict(f"Batch {batch.id} is {batch.state}; nothing of it is sent any more.")
    return batch


async def _reopen(
    engine: Engine, connection: Connection, batch: Batch, taken: list[Letters], letters: list[Letters]
) -> Batch:
    """Put `letters` at their step again, in place of those that were `taken`."""
    assert batch.version is not None
    journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    await dead_letters.delete(connection, taken)
    if batch.state == BatchState.COMPLETED:
        await dead_letters.reopen(connection, batch.id)
        batch = await batches.get(connection, batch.id)
    now = engine.clock.now()
    for each in letters:
        await dead_letters.take_back(connection, batch.id, each.step, each.part.size)
        await gone_endpoints.forget(connection, batch.id, each.step)
        opening = Opening(each.step, each.part, visit=each.visit, due_at=now, arrives=False, replay=True)
        await open_cohorts(engine, connection, batch, journey, [opening])
    return batch


def _split(
    engine: Engine, draft: Draft, batch: Batch, letters: list[Letters], contact: str
) -> list[tuple[Letters, Part, Part | None]]:
    """Those in which the contact is, each with a file of its letters alone and one of all others, if there are any."""
    halves = []
    for each in letters:
        with engine.files.local(each.part.file) as path:
            table = pq.read_table(path)
        there = pc.equal(table["id"], contact)
        found = table.filter(there)
        if found.num_rows:
            rest = table.filter(pc.invert(there))
            one = _put(engine, draft, batch, found)
            halves.append((each, one, _put(engine, draft, batch, rest) if rest.num_rows else None))
    return halves


def _put(engine: Engine, draft: Draft, batch: Batch, table: pa.Table) -> Part:
    name = f"batches/{batch.id}/letters-{secrets.token_hex(8)}.parquet"
    with scratch_file(engine.scratch) as local:
        pq.write_table(table, local)
        draft.put(local, name)
    return Part(name, table.num_rows)
