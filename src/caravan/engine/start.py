"""The batch starter: from a call to cohorts that stand at the journey's first step.

open_batch → (upload) receive ─┐
           → (download) fetch ─┤
           → (direct.py) take ─┴→ read → open_cohorts → advance
"""

import asyncio
import hashlib
import secrets
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from psycopg import OperationalError

from caravan.engine import trouble
from caravan.engine.advance import finish_if_empty, open_cohorts, step_of
from caravan.engine.engine import Engine
from caravan.errors import CaravanError, Conflict, FileFailed, FileFailure, Gone
from caravan.intake.download import download
from caravan.intake.expand import Encoding
from caravan.intake.reading import Limits, Receipt, read_contacts
from caravan.settings import Uploads
from caravan.store import batches, journeys, sql
from caravan.store.batches import Batch, BatchState, Source
from caravan.store.cohorts import Opening, Part
from caravan.store.database import Connection, row
from caravan.store.files import local_copy

_PUTS_AT_ONCE = 4
UPLOAD_TIME = timedelta(hours=12)  # the wire protocol's promise
_Q = sql.load("caravan.store", "batches.sql")


class Interrupted(CaravanError):
    """Reading stopped because the batch was cancelled or the worker is stopping."""


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
    engine: Engine, connection: Connection, customer: int, journey: int, *, freeze_waits: bool = False
) -> Batch:
    """A batch that waits for its file. Raises `NotFound` for a journey that is not published."""
    await journeys.latest(connection, customer, journey)
    now = engine.clock.now()
    return await batches.add(
        connection,
        customer,
        journey,
        source=Source.DIRECT if engine.settings.uploads is Uploads.DIRECT else Source.UPLOAD,
        now=now,
        expires=now + UPLOAD_TIME,
        freeze_waits=freeze_waits,
    )


async def open_download(
    engine: Engine, connection: Connection, customer: int, journey: int, url: str, *, freeze_waits: bool = False
) -> Batch:
    """A batch whose file is fetched at once. Raises `NotFound` for a journey that is not published."""
    await journeys.latest(connection, customer, journey)
    batch = await batches.add(
        connection,
        customer,
        journey,
        source=Source.DOWNLOAD,
        now=engine.clock.now(),
        url=url,
        freeze_waits=freeze_waits,
    )
    await engine.jobs.fetch(connection, batch.id)
    return batch


def refuse_upload(engine: Engine, batch: Batch) -> None:
    """Raise what a PUT to this batch deserves before its body is read: `Gone` or `Conflict`."""
    if batch.source != Source.UPLOAD:
        raise Conflict(f"Batch {batch.id} fetches its file itself; it takes no upload.")
    late = batch.file is None and batch.expires_at is not None and engine.clock.now() >= batch.expires_at
    if late or batch.state == BatchState.EXPIRED:
        raise Gone("This uploadUrl has expired; POST to batchtrigger/v2 for a new one.")
    if batch.file is None and batch.state == BatchState.CANCELLED:
        raise Conflict(f"Batch {batch.id} was cancelled; POST to batchtrigger/v2 for a new one.")


async def begin_receiving(engine: Engine, batch: str) -> None:
    """An upload has begun."""
    async with engine.pool.connection() as connection:
        await batches.set_state(connection, batch, BatchState.RECEIVING, (BatchState.AWAITING_UPLOAD,))


async def abandon_receiving(engine: Engine, batch: str) -> None:
    """An upload broke off: the batch awaits its file as before."""
    async with engine.pool.connection() as connection:
        await batches.set_state(connection, batch, BatchState.AWAITING_UPLOAD, (BatchState.RECEIVING,))


async def receive(engine: Engine, batch_id: str, received: Received) -> Batch:
    """Take a file for a batch and start it. The same bytes again start nothing; others raise `Conflict`."""
    name = f"batches/{batch_id}/upload-{secrets.token_hex(4)}"
    await asyncio.to_thread(engine.files.put, received.path, name)
    try:
        async with engine.pool.connection() as connection, connection.transaction():
            batch = await batches.lock(connection, batch_id)
            if _is_wanted(batch, received):
                upload = Upload(name, received.bytes, received.sha256, received.encoding)
                await start_reading(engine, connection, batch, upload)
                return await batches.get(connection, batch.id)
    except CaravanError:
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
    if batch.ended:
        raise Conflict(f"Batch {batch.id} is {batch.state}; it takes no file any more.")
    return True


async def start_reading(engine: Engine, connection: Connection, batch: Batch, upload: Upload) -> None:
    """The batch has its file and, from here on, its version of the journey."""
    version = await journeys.latest(connection, batch.customer_id, batch.journey_id)
    await connection.execute(
        _Q.set_received,
        {
            "id": batch.id,
            "file": upload.file,
            "bytes": upload.bytes,
            "sha256": upload.sha256,
            "encoding": upload.encoding,
            "version": version.version,
            "now": engine.clock.now(),
        },
    )
    await engine.jobs.read(connection, batch.id)


async def fetch(engine: Engine, batch_id: str, stopping: asyncio.Event) -> None:
    """Download a batch's file and start it; a download that fails for good fails the batch."""
    async with engine.pool.connection() as connection:
        batch = await batches.get(connection, batch_id)
    if batch.state != BatchState.RECEIVING or batch.download_url is None:
        return
    with _scratch(engine) as folder:
        try:
            received = await _download_unless_interrupted(engine, batch, folder / "download", stopping)
        except FileFailed as error:
            await fail(engine, batch.id, error)
            return
        except Interrupted:
            await _begin_again_later(engine, batch.id)
            return
        with suppress(Conflict):  # cancelled meanwhile
            await receive(engine, batch.id, received)


async def _download_unless_interrupted(engine: Engine, batch: Batch, target: Path, stopping: asyncio.Event) -> Received:
    """Download, but no longer than the batch wants it and the worker lives. Raises `Interrupted`."""
    async with _interruption(engine, batch.id, BatchState.RECEIVING, stopping) as interrupted:
        downloading = asyncio.create_task(_download(engine, batch, target))
        waiting = asyncio.create_task(interrupted.wait())
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


async def read(engine: Engine, batch_id: str, stopping: asyncio.Event) -> None:
    """Read a batch's whole file, then enter everyone at once; nobody moves before the last line is read."""
    async with engine.pool.connection() as connection:
        batch = await batches.get(connection, batch_id)
    if batch.state != BatchState.READING or batch.file is None:
        return
    with _scratch(engine) as folder:
        try:
            receipt = await _read_file(engine, batch, folder, stopping)
        except FileFailed as error:
            await fail(engine, batch.id, error)
            return
        except Interrupted:
            await _begin_again_later(engine, batch.id)
            return
        await _enter(engine, batch, receipt)


async def _begin_again_later(engine: Engine, batch_id: str) -> None:
    """The worker stops in the middle of a file: whoever comes next begins again, if it is still wanted."""
    async with engine.pool.connection() as connection:
        state = (await batches.get(connection, batch_id)).state
        if state == BatchState.READING:
            await engine.jobs.read(connection, batch_id)
        elif state == BatchState.RECEIVING:
            await engine.jobs.fetch(connection, batch_id)


async def _read_file(engine: Engine, batch: Batch, folder: Path, stopping: asyncio.Event) -> Receipt:
    assert batch.file is not None
    async with _interruption(engine, batch.id, BatchState.READING, stopping) as interrupted:

        def go_on(done: int, total: int) -> None:
            if interrupted.is_set():
                raise Interrupted

        encoding = Encoding(batch.encoding) if batch.encoding else None
        limits = Limits.from_settings(engine.settings)
        async with local_copy(engine.files, batch.file) as source:
            if batch.sha256 is None:
                await _note_sha256(engine, batch, source)
            return await asyncio.to_thread(read_contacts, source, folder, limits, encoding=encoding, progress=go_on)


async def _note_sha256(engine: Engine, batch: Batch, source: Path) -> None:
    """A file that did not come through our hands is seen whole only now."""
    with source.open("rb") as file:
        digest = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
    async with engine.pool.connection() as connection:
        await connection.execute(_Q.set_digest, {"id": batch.id, "sha256": digest.hexdigest()})


@asynccontextmanager
async def _interruption(
    engine: Engine, batch: str, state: BatchState, stopping: asyncio.Event
) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the batch is no longer in this state or the worker stops."""
    interrupted = asyncio.Event()

    async def watch() -> None:
        while not interrupted.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 0.5)
            with suppress(OperationalError):  # the work itself will meet it
                async with engine.pool.connection() as connection:
                    if (await batches.get(connection, batch)).state != state:
                        interrupted.set()
            if stopping.is_set():
                interrupted.set()

    watcher = asyncio.create_task(watch())
    try:
        yield interrupted
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


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


async def fail(engine: Engine, batch: str, error: FileFailed) -> None:
    """The batch fails with one sentence, unless it has ended in another way meanwhile."""
    async with engine.pool.connection() as connection, connection.transaction():
        current = await batches.lock(connection, batch)
        if not current.ended:
            now = engine.clock.now()
            await batches.end(connection, batch, BatchState.FAILED, now, code=error.code, error=error.message)


@asynccontextmanager
async def hindrances_noted(engine: Engine, batch: str) -> AsyncIterator[None]:
    """Note on the batch why its file can't be fetched or read just now; a file on which reading itself fails
    again and again fails the batch."""
    try:
        yield
    except Exception as error:
        reason = trouble.describe(error)
        async with engine.pool.connection() as connection:
            noted = await row(connection, _Q.set_hindrance, id=batch, hindrance=reason)
        if trouble.is_around(error) or noted is None or noted["failures"] < trouble.SAME_FAILURES:
            raise
        sentence = f"Reading failed {noted['failures']} times in the same way: {reason}"
        await fail(engine, batch, FileFailed(FileFailure.UNREADABLE, sentence))


class _scratch:
    """A folder of this machine for one piece of work, removed at the end."""

    def __init__(self, engine: Engine) -> None:
        self._path = engine.settings.folder / "scratch" / secrets.token_hex(8)

    def __enter__(self) -> Path:
        self._path.mkdir(parents=True)
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)
