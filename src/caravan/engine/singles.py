"""The single starter: one contact by one call, durable before its answer, gathered with its neighbours."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from psycopg.rows import DictRow

from caravan.engine import trouble
from caravan.engine.advance import open_cohorts, step_of
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput
from caravan.intake.strict import Accepted, classify
from caravan.steps.parts import scratch_file
from caravan.store import batches, journeys, sql
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import CONTACTS, Opening, Part, write_contacts
from caravan.store.database import Connection, row, rows

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
    """The open batch of singles of this journey version, shared-locked against the gathering itself."""
    who: dict[str, Any] = {"customer": customer, "journey": journey, "version": version}
    while (found := await row(connection, _Q.gathering, **who)) is None:
        new = {**who, "id": batches.new_batch_id(), "now": engine.clock.now()}
        await connection.execute(_Q.open_gathering, new)
    return str(found["id"])


async def gather(engine: Engine, batch_id: str) -> None:
    """Make cohorts of the singles that have arrived."""
    try:
        async with engine.pool.connection() as connection, connection.transaction():
            batch = await batches.lock(connection, batch_id)
            if batch.state == BatchState.RUNNING:
                await gather_locked(engine, connection, batch)
    except Exception as error:
        async with engine.pool.connection() as connection:
            await batches.note_hindrance(connection, batch_id, trouble.describe(error))
        raise


async def gather_locked(engine: Engine, connection: Connection, batch: Batch) -> None:
    """The same in the caller's transaction, which has the batch locked: nobody can arrive meanwhile."""
    limit = engine.settings.cohort_size
    while arrived := await rows(connection, _Q.take_arrivals, id=batch.id, limit=limit):
        await _enter(engine, connection, batch, sorted(arrived, key=lambda each: int(each["id"])))


async def _enter(engine: Engine, connection: Connection, batch: Batch, arrived: Sequence[DictRow]) -> None:
    counted = await row(connection, _Q.add_single, id=batch.id, contacts=len(arrived))
    assert counted is not None and batch.version is not None
    journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    part = await asyncio.to_thread(_store, engine, batch, arrived, counted["lines"] - len(arrived) + 1)
    entry = journey.entry.id
    due = step_of(journey, entry).due(engine.clock.now())
    await open_cohorts(engine, connection, batch, journey, [Opening(entry, part, visit=0, due_at=due)])


def _store(engine: Engine, batch: Batch, arrived: Sequence[DictRow], line: int) -> Part:
    """A cohort's file; a single's line is its place among the singles of the batch."""
    columns = [
        range(line, line + len(arrived)),
        [each["contact"] for each in arrived],
        [each["properties"] for each in arrived],
    ]
    # No two share a file, also where the first is cut off and goes on all the same.
    name = f"{batch.folder}/singles-{line}-{secrets.token_hex(4)}.parquet"
    with scratch_file(engine.settings.folder / "scratch") as local:
        write_contacts(pa.table([pa.array(each) for each in columns], schema=CONTACTS), local)
        engine.files.put(local, name)
    return Part(name, len(arrived))
