"""What can be seen of a batch before it starts: how much of its file is there, its first contacts and rejects, and
one message."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from caravan.delivery.cohort_delivery import view
from caravan.delivery.message_step import MessageStep, ShownMessage
from caravan.engine.engine import Engine
from caravan.engine.openings import step_of
from caravan.engine.receiving import arrived
from caravan.errors import NotFound
from caravan.intake.rejects import Reject, read_rejects
from caravan.store import batches, cohorts, spans
from caravan.store.batches import Batch, BatchState
from caravan.store.database import snapshot
from caravan.store.files import Files

SHOWN = 10  # contacts, and rejects
_KEY = "preflight"  # in place of the delivery key, as in preflight.py


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How much of a file is there."""

    bytes: int | None = None  # None: not known here
    rows: int | None = None  # that were read so far, of a file that is read in spans


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The beginning of what was read."""

    contacts: list[tuple[int, str, dict[str, Any]]]  # (line, id, properties)
    rejects: list[Reject]


async def file_progress(engine: Engine, batch: Batch) -> FileProgress:
    """How much of the batch's file is there just now."""
    if batch.state == BatchState.RECEIVING:
        return FileProgress(await asyncio.to_thread(arrived, engine, batch.id) or None)
    if batch.state != BatchState.READING or (batch.bytes or 0) <= engine.settings.span_bytes:
        return FileProgress(batch.bytes)
    async with engine.pool.connection() as connection:
        found = await spans.of_batch(connection, batch.id)
    return FileProgress(batch.bytes, sum(each.receipt.lines for each in found if each.receipt is not None))


async def first_rows(engine: Engine, customer: int, batch_id: str, count: int = SHOWN) -> FirstRows:
    """The first contacts and the first rejects of a batch that is held. Raises `NotFound` for another."""
    batch, files = await _held(engine, customer, batch_id)

    def read() -> FirstRows:
        rejects = list(_rejects(engine.files, batch.rejects, count)) if batch.rejects else []
        return FirstRows(list(islice(_contacts(engine.files, files), count)), rejects)

    return await asyncio.to_thread(read)


async def message_of(engine: Engine, customer: int, batch_id: str, step_id: str, contact: str) -> ShownMessage:
    """The message that a step would send to a contact of a batch that has been read, wherever the contact's way
    leads. A page that shows a held batch may still load it after somebody has started the batch, so the contacts
    are found where they entered, also those that have gone on. Raises `NotFound` where there is none, and
    `RenderFailed`."""
    async with snapshot(engine.pool) as connection:
        batch = await batches.of_customer(connection, customer, batch_id)
        if batch.version is None or batch.forgotten_at is not None:
            raise NotFound("There is no such message.")
        journey = await engine.journeys.get(connection, customer, batch.journey_id, batch.version)
        entered = await cohorts.arrival_files(connection, batch.id, journey.entry.id, 0)
        cohort = await cohorts.get(connection, entered[0][0]) if entered else None
    step = step_of(journey, step_id) if step_id in {each.id for each in journey.steps} else None
    person = await asyncio.to_thread(_find, engine.files, [file for _, file in entered], contact)
    if person is None or cohort is None or not isinstance(step, MessageStep):
        raise NotFound("There is no such message.")
    now = engine.clock.now()
    at_step = replace(cohort, step=step_id).claimed_by(_KEY, journey.place(step_id))
    return await asyncio.to_thread(lambda: step.show(step.write(view(person, now), _KEY, at_step, now)))


async def _held(engine: Engine, customer: int, batch_id: str) -> tuple[Batch, list[str]]:
    """A batch that is held, and the files of its contacts. Raises `NotFound` for another."""
    async with snapshot(engine.pool) as connection:
        batch = await batches.of_customer(connection, customer, batch_id)
        if not batch.held or batch.forgotten_at is not None:
            raise NotFound(f"Batch {batch.id} is not held for review.")
        standing = await cohorts.standing(connection, batch.id)
    return batch, [each.file for each in standing]


def _contacts(files: Files, names: list[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for name in names:
        with files.local(name) as path, pq.ParquetFile(path) as file:
            for piece in file.iter_batches(SHOWN):
                for row in piece.to_pylist():
                    yield row["line"], row["id"], json.loads(row["properties"])


def _rejects(files: Files, name: str, count: int) -> Iterator[Reject]:
    with files.local(name) as path:
        yield from islice(read_rejects(path), count)


def _find(files: Files, names: list[str], contact: str) -> dict[str, Any] | None:
    """The row of CONTACTS of one contact; the properties of others are not read. Blocks."""
    for name in names:
        with files.local(name) as path, pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, columns=["id"])["id"]
                at = pc.index(ids, contact).as_py()
                if at >= 0:
                    found: dict[str, Any] = file.read_row_group(group).slice(at, 1).to_pylist()[0]
                    return found
    return None
