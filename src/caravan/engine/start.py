"""The batch starter: from a call to a file that is about to be read.

open_batch → (upload) receive ─┐
           → (download) fetch ─┤
           → (direct.py) take ─┴→ reading.py
"""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from caravan.engine.engine import Engine, Note
from caravan.engine.expiry import sends_until
from caravan.engine.file_job import FileJob, Interrupted, work_on_file
from caravan.errors import Conflict, Gone
from caravan.intake.download import download
from caravan.intake.expand import Encoding
from caravan.settings import Uploads
from caravan.store import batches, journeys
from caravan.store.batches import Batch, BatchState, ReceivedFile, Source
from caravan.store.database import Connection, single

UPLOAD_TIME = timedelta(hours=12)  # the wire protocol's promise
_EXPIRED = "This uploadUrl has expired; POST to batchtrigger/v2 for a new one."


@dataclass(frozen=True, slots=True)
class Received:
    """A file that has arrived on this machine."""

    path: Path
    bytes: int
    sha256: str
    encoding: Encoding | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A batch's file in the store. Its SHA-256 may become known only when it is read, its encoding by its bytes."""

    file: str
    bytes: int
    sha256: str | None = None
    encoding: Encoding | None = None


async def open_upload(
    engine: Engine,
    connection: Connection,
    customer: int,
    journey: int,
    *,
    freeze_waits: bool = False,
    hold: bool = False,
    expires: str | None = None,
) -> Batch:
    """A batch that waits for its file; with `hold` no contact moves until it is resumed, and nothing is sent from
    `expires` on (expiry.py).

    Raises `NotFound` for a journey that is not published, and `InvalidInput` for an `expires` that can't be.
    """
    now = engine.clock.now()
    return await batches.add(
        connection,
        customer,
        journey,
        source=Source.DIRECT if engine.settings.uploads is Uploads.DIRECT else Source.UPLOAD,
        now=now,
        expires=now + UPLOAD_TIME,
        freeze_waits=freeze_waits,
        hold=hold,
        sends_until=sends_until(engine, expires),
    )


async def open_download(
    engine: Engine,
    connection: Connection,
    customer: int,
    journey: int,
    url: str,
    *,
    freeze_waits: bool = False,
    hold: bool = False,
    expires: str | None = None,
) -> Batch:
    """A batch whose file is fetched at once; with `hold` no contact moves until it is resumed, and nothing is sent from
    `expires` on (expiry.py).

    Raises `NotFound` for a journey that is not published, and `InvalidInput` for an `expires` that can't be.
    """
    batch = await batches.add(
        connection,
        customer,
        journey,
        source=Source.DOWNLOAD,
        now=engine.clock.now(),
        url=url,
        freeze_waits=freeze_waits,
        hold=hold,
        sends_until=sends_until(engine, expires),
    )
    await engine.jobs.fetch(connection, batch.id)
    return batch


def refuse_upload(engine: Engine, batch: Batch) -> None:
    """Raise what a PUT to this batch deserves before its body is read: `Gone` or `Conflict`."""
    if batch.source != Source.UPLOAD:
        raise Conflict(f"Batch {batch.id} fetches its file itself; it takes no upload.")
    late = not batch.has_file and batch.expires_at is not None and engine.clock.now() >= batch.expires_at
    if late or batch.state == BatchState.EXPIRED:
        raise Gone(_EXPIRED)
    if not batch.has_file and batch.state == BatchState.CANCELLED:
        raise Conflict(f"Batch {batch.id} was cancelled; POST to batchtrigger/v2 for a new one.")


async def receive(engine: Engine, batch_id: str, received: Received, note: Note | None = None) -> Batch:
    """Take a file for a batch and start it, with a `note` in the same transaction. The same bytes again start nothing;
    others raise `Conflict`. Neither goes into the store: that may be far away, and the file large."""
    async with single(engine.pool) as connection:
        batch = await batches.get(connection, batch_id)
    if not _is_wanted(batch, received):
        return batch
    name = f"batches/{batch_id}/upload-{secrets.token_hex(4)}"
    await asyncio.to_thread(engine.files.put, received.path, name)
    committing = False
    try:
        async with engine.pool.connection() as connection, connection.transaction():
            batch = await batches.lock(connection, batch_id)
            if _is_wanted(batch, received):
                upload = Upload(name, received.bytes, received.sha256, received.encoding)
                await start_reading(engine, connection, batch, upload)
                batch = await batches.get(connection, batch.id)
                if note is not None:
                    await note(connection)
                committing = True  # the commit may succeed unseen, so from here on the file stays
                return batch
    except Exception:
        if not committing:
            await asyncio.to_thread(engine.files.delete, name)
        raise
    await asyncio.to_thread(engine.files.delete, name)
    return batch


def _is_wanted(batch: Batch, received: Received) -> bool:
    if batch.sha256 == received.sha256:
        return False
    if batch.sha256 is not None:
        raise Conflict(
            f"Batch {batch.id} already has another file (SHA-256 {batch.sha256}); start a new batch for this one."
        )
    if batch.state == BatchState.EXPIRED:
        raise Gone(_EXPIRED)
    if batch.ended:
        raise Conflict(f"Batch {batch.id} is {batch.state}; it takes no file any more.")
    return True


async def start_reading(engine: Engine, connection: Connection, batch: Batch, upload: Upload) -> None:
    """The batch has its file and, from here on, its version of the journey."""
    version = await journeys.latest(connection, batch.customer_id, batch.journey_id)
    got = ReceivedFile(upload.file, upload.bytes, upload.sha256, upload.encoding)
    await batches.set_received(connection, batch.id, got, version.version, engine.clock.now())
    await engine.jobs.read(connection, batch.id)


async def fetch(engine: Engine, batch_id: str, stopping: asyncio.Event) -> None:
    """Download a batch's file and start it; a download that fails for good fails the batch."""
    await work_on_file(engine, batch_id, BatchState.RECEIVING, stopping, _fetch)


async def _fetch(job: FileJob) -> None:
    if job.batch.download_url is None:
        return
    received = await _download_unless_interrupted(job, job.folder / "download")
    with suppress(Conflict):  # cancelled meanwhile
        await receive(job.engine, job.batch.id, received)


async def _download_unless_interrupted(job: FileJob, target: Path) -> Received:
    """Download, but no longer than the batch wants it and the worker lives. Raises `Interrupted`."""
    downloading = asyncio.create_task(_download(job.engine, job.batch, target))
    waiting = asyncio.create_task(job.interrupted.wait())
    try:
        await asyncio.wait({downloading, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not downloading.done():
            raise Interrupted
        return downloading.result()
    finally:
        for task in (downloading, waiting):
            task.cancel()
        await asyncio.gather(downloading, waiting, return_exceptions=True)


async def _download(engine: Engine, batch: Batch, target: Path) -> Received:
    assert batch.download_url is not None
    settings = engine.settings
    got = await download(
        batch.download_url,
        target,
        allow_private=settings.download_allow_private,
        max_bytes=settings.max_file_bytes,
        timeout=settings.download_timeout,
        retry_delay=settings.download_retry_delay,
    )
    encoding = got.content_encoding if got.content_encoding in tuple(Encoding) else None
    return Received(target, got.bytes, got.sha256, Encoding(encoding) if encoding else None)
