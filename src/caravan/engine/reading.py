"""Reading a batch's file, and entering: from bytes in the store to cohorts at the journey's first step."""

import asyncio
import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from caravan.engine.advance import finish_if_empty, open_cohorts, step_of
from caravan.engine.engine import Engine
from caravan.engine.file_job import FileJob, work_on_file
from caravan.intake.expand import Encoding
from caravan.intake.reading import Limits, Receipt, read_contacts
from caravan.store import batches, sql
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import Opening, Part
from caravan.store.database import Connection
from caravan.store.files import in_thread

_PUTS_AT_ONCE = 4
_Q = sql.load("caravan.store", "batches.sql")


async def read(engine: Engine, batch_id: str, stopping: asyncio.Event) -> None:
    """Read a batch's whole file, then enter everyone at once; nobody moves before the last line is read."""
    await work_on_file(engine, batch_id, BatchState.READING, stopping, _read)


async def _read(job: FileJob) -> None:
    receipt = await _read_file(job)
    await _enter(job.engine, job.batch, receipt)


async def _read_file(job: FileJob) -> Receipt:
    engine, batch = job.engine, job.batch
    assert batch.file is not None
    reading = partial(
        read_contacts,
        folder=job.folder,
        limits=Limits.from_settings(engine.settings),
        encoding=Encoding(batch.encoding) if batch.encoding else None,
        progress=job.go_on,
    )
    async with in_thread(engine.files.local(batch.file, job.go_on)) as source:
        if batch.sha256 is None:
            await _note_sha256(engine, batch, source)
        return await asyncio.to_thread(reading, source)


async def _note_sha256(engine: Engine, batch: Batch, source: Path) -> None:
    """A file that did not come through our hands is seen whole only now."""
    with source.open("rb") as file:
        digest = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
    async with engine.pool.connection() as connection:
        await connection.execute(_Q.set_digest, {"id": batch.id, "sha256": digest.hexdigest()})


async def _enter(engine: Engine, batch: Batch, receipt: Receipt) -> None:
    """Commit what reading made of the file: the ledger's first lines, and the cohorts at the first step."""
    parts = await asyncio.to_thread(_store_cohorts, engine, batch, receipt)
    rejects = await asyncio.to_thread(_store, engine, batch, receipt.rejects, "rejects") if receipt.rejects else None
    async with engine.pool.connection() as connection, connection.transaction():
        now = engine.clock.now()
        current = await batches.lock(connection, batch.id)
        if current.state != BatchState.READING:
            return
        await _write_receipt(connection, batch, receipt, rejects.file if rejects else None)
        if receipt.failure is not None:
            code, sentence = receipt.failure.code, receipt.failure.message
            await batches.end(connection, batch.id, BatchState.FAILED, now, code=code, error=sentence)
            return
        await connection.execute(_Q.set_running, {"id": batch.id, "now": now})
        assert batch.version is not None
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        entry = journey.entry.id
        due = step_of(journey, entry).due(now)
        openings = [Opening(entry, part, visit=0, due_at=due) for part in parts]
        await open_cohorts(engine, connection, current, journey, openings)
        await finish_if_empty(connection, await batches.get(connection, batch.id), now)


def _store_cohorts(engine: Engine, batch: Batch, receipt: Receipt) -> list[Part]:
    """All cohort files, in the order of the file: some at once, for a store that is far away. Blocks."""
    with ThreadPoolExecutor(_PUTS_AT_ONCE) as pool:
        return list(pool.map(lambda each: _store(engine, batch, each.path, "cohort", each.size), receipt.parts))


def _store(engine: Engine, batch: Batch, path: Path, kind: str, size: int = 0) -> Part:
    name = f"{batch.folder}/{kind}-{path.stem}-{secrets.token_hex(4)}.parquet"
    engine.files.put(path, name)
    return Part(name, size)


async def _write_receipt(connection: Connection, batch: Batch, receipt: Receipt, rejects: str | None) -> None:
    counts = {"lines": receipt.lines, "blank": receipt.blank, "entered": receipt.entered}
    await connection.execute(_Q.set_read, {"id": batch.id, **counts, "rejects": rejects})
    for code, contacts in receipt.rejected.items():
        await connection.execute(_Q.add_rejected, {"id": batch.id, "code": code, "contacts": contacts})
