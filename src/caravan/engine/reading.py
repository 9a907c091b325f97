"""Reading a batch's file: from bytes in the store to cohorts. A file is one span; a very large one is
several, which spans.py shares out among all workers."""

import asyncio
import hashlib
from functools import partial
from pathlib import Path

from caravan.engine import reentry, restart, retention, spans
from caravan.engine.engine import Engine
from caravan.engine.entering import enter
from caravan.engine.file_job import FileJob, work_on_file
from caravan.engine.receipt_files import store_receipt
from caravan.intake.expand import Encoding
from caravan.intake.reading import Limits, Receipt, read_contacts
from caravan.store import batches
from caravan.store.batches import Batch, BatchState
from caravan.store.files import Draft, in_thread
from caravan.store.spans import Receipt as StoredReceipt


async def read(engine: Engine, batch_id: str, stopping: asyncio.Event) -> None:
    """Read a batch's whole file, then enter all contacts at once; none moves before the last line is read."""
    await work_on_file(engine, batch_id, BatchState.READING, stopping, _read)


async def _read(job: FileJob) -> None:
    if job.batch.restarts is not None:
        found = await restart.read_chosen(job, job.batch.restarts)
    elif await spans.is_shared(job):
        await spans.share_out(job)
        return
    else:
        found = await _read_file(job)
    receipt = await asyncio.to_thread(_store, job, found)
    if found.failure is None:
        receipt = await reentry.admit(job, receipt)
    if await enter(job.engine, job.batch, receipt, found.failure):
        await retention.delete_file_soon(job.engine, job.batch.id)


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
        await batches.set_sha256(connection, batch.id, digest.hexdigest())


def _store(job: FileJob, found: Receipt) -> StoredReceipt:
    with Draft(job.engine.files) as draft:
        return store_receipt(draft, job.batch, found)
