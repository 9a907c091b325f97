"""The single starter: one contact by one call, durable before its answer, gathered with its neighbours."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
from psycopg.rows import DictRow

from caravan.engine.advance import arrive_and_leave, open_cohorts, step_of
from caravan.engine.engine import Engine
from caravan.errors import Conflict, InvalidInput, Unavailable
from caravan.intake.strict import Accepted, classify
from caravan.queue import transient
from caravan.steps.cohort_files import scratch_file
from caravan.store import batches, journeys, sql
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import CONTACTS, Opening, Part, write_contacts
from caravan.store.database import Connection, row, rows

_DAY = timedelta(days=1)
_GATHERED_BYTES = 32 << 20  # of properties in one cohort of singles
_HASTE = 0.5  # seconds that a call may wait for the store
_Q = sql.load("caravan.store", "batches.sql")


@dataclass(frozen=True, slots=True)
class Commenced:
    """A contact that has entered: the batch that it was put into."""

    contact: str
    batch: str


async def commence(engine: Engine, connection: Connection, customer: int, journey: int, body: bytes) -> Commenced:
    """Enter the contact whose JSON object `body` is: durable with the caller's commit, moving within a second.

    Raises `InvalidInput` where a file's row would be a reject, and `NotFound` for an unpublished journey.
    """
    accepted = _accept(engine, body)
    version = await journeys.latest(connection, customer, journey)
    batch = await _gathering(engine, connection, customer, journey, version.version)
    values = {"id": batch, "contact": accepted.id, "properties": accepted.properties}
    await connection.execute(_Q.add_arrival, values)
    await engine.jobs.gather(connection, batch)
    return Commenced(accepted.id, batch)


def _accept(engine: Engine, body: bytes) -> Accepted:
    """The contact by the same rules as a row of a file."""
    verdict = classify(body, engine.settings.max_row_bytes)
    if not isinstance(verdict, Accepted):
        sentence = getattr(verdict, "message", "the body is empty.")
        raise InvalidInput(f"This contact can't enter: {sentence}")
    return verdict


async def _gathering(engine: Engine, connection: Connection, customer: int, journey: int, version: int) -> str:
    """The open batch of singles of this journey version, shared-locked against the gathering itself. One takes the
    singles of a day: if it went on for ever, it would never end, and its contacts never be forgotten."""
    now = engine.clock.now()
    who: dict[str, Any] = {"customer": customer, "journey": journey, "version": version}
    recent = {**who, "since": now - _DAY}
    while (found := await row(connection, _Q.gathering, **recent)) is None:
        await journeys.share(connection, customer, journey)  # before any batch, as who pauses a journey does
        await connection.execute(_Q.stop_gathering, recent)
        await connection.execute(_Q.open_gathering, {**who, "id": batches.new_batch_id(), "now": now})
    return str(found["id"])


async def gather(engine: Engine, batch_id: str, stopping: asyncio.Event | None = None) -> None:
    """Make cohorts of the singles that have arrived by now; whoever comes meanwhile has a job of its own. In a
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
    """The last one who is there by now. It waits for those who are about to come: they have found this job in the queue
    and brought none of their own, as later ones do."""
    async with engine.pool.connection() as connection, connection.transaction():
        await batches.lock(connection, batch_id)
        found = await row(connection, _Q.last_arrival, id=batch_id)
    return found["id"] if found else None


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
            await _enter(engine, connection, await batches.get(connection, batch_id), part)
            return True
    await asyncio.to_thread(engine.files.delete, part.file)  # another gathering came first
    return True


async def _arrivals(engine: Engine, connection: Connection, batch: str, last: int) -> list[DictRow]:
    """Those who are gathered together: as many as a cohort takes, and as many as memory should."""
    limits = {"limit": engine.settings.cohort_size, "bytes": _GATHERED_BYTES}
    return await rows(connection, _Q.arrivals, id=batch, last=last, **limits)


async def _take(connection: Connection, seen: Batch, arrived: Sequence[DictRow]) -> bool:
    """Take these out of those who wait; False if others have been there since the batch was seen. It stays locked."""
    batch = await batches.lock(connection, seen.id)
    if batch.lines != seen.lines:
        return False
    taken = await rows(connection, _Q.take_arrivals, ids=[each["id"] for each in arrived])
    if len(taken) < len(arrived):
        raise Conflict(f"Some singles of batch {batch.id} were taken twice.")
    return True


async def _enter(engine: Engine, connection: Connection, batch: Batch, part: Part) -> None:
    assert batch.version is not None
    await connection.execute(_Q.add_single, {"id": batch.id, "contacts": part.size})
    journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    entry, now = journey.entry.id, engine.clock.now()
    if batch.state == BatchState.CANCELLED:
        await arrive_and_leave(connection, batch.id, entry, part, now)
    else:
        await open_cohorts(
            engine, connection, batch, journey, [Opening(entry, part, visit=0, due_at=step_of(journey, entry).due(now))]
        )


async def recall_arrivals(engine: Engine, connection: Connection, batch: Batch) -> None:
    """Singles of a cancelled batch who are not gathered yet leave too. The caller has it locked, so where the store is
    slow or away they are left to a job."""
    found = await row(connection, _Q.last_arrival, id=batch.id)
    if found is None or found["id"] is None:
        return
    arrived = await _arrivals(engine, connection, batch.id, found["id"])
    with suppress(Unavailable, OSError, TimeoutError):
        part = await asyncio.wait_for(asyncio.to_thread(_store, engine, batch, arrived), _HASTE)
        if await _take(connection, batch, arrived):
            await _enter(engine, connection, batch, part)
    await engine.jobs.gather(connection, batch.id)


def _store(engine: Engine, batch: Batch, arrived: Sequence[DictRow]) -> Part:
    """A cohort's file; a single's line is its place among the singles of the batch."""
    line = batch.lines + 1
    columns = [
        range(line, line + len(arrived)),
        [each["contact"] for each in arrived],
        [each["properties"] for each in arrived],
    ]
    # No two share a file, also where the first is cut off and goes on all the same.
    name = f"{batch.folder}/singles-{line}-{secrets.token_hex(4)}.parquet"
    with scratch_file(engine.scratch) as local:
        write_contacts(pa.table([pa.array(each) for each in columns], schema=CONTACTS), local)
        engine.files.put(local, name)
    return Part(name, len(arrived))
