"""A very large file is read in several spans, by all workers that are there; any other is one span, see reading.py.

share_out → take (each span) → join ─┬→ take (those with contacts of an earlier span too) → join ─┬→ enter
                                     └────────────────────────────────────────────────────────────┘

Each arrow is a job that is deferred in the transaction of the state before it, so any worker can take it, and one
that runs twice finds its work done. No contact moves before the last span is read and compared with the others.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from caravan.engine import reentry, retention
from caravan.engine.engine import Engine
from caravan.engine.entering import enter
from caravan.engine.file_job import FileJob, work_on_file
from caravan.engine.receipt_files import store, store_parts, store_receipt
from caravan.errors import FileFailed
from caravan.intake import parts as intake
from caravan.intake import survey
from caravan.intake.between import drop_losers, find_losers, join_rejects
from caravan.intake.limits import Limits
from caravan.intake.reading import judge
from caravan.intake.rejects import RejectCode
from caravan.intake.span import read_span
from caravan.intake.survey import CHUNK, LineCounter
from caravan.intake.whole import is_plain
from caravan.store import batches, spans
from caravan.store.batches import BatchState
from caravan.store.database import Connection
from caravan.store.files import Draft, Section
from caravan.store.spans import Receipt, Span, SpanState

_HEAD = 1 << 16  # bytes that tell whether a file is plain
_STRETCH = 256 << 20  # bytes of a file that are on this machine at a time while its lines are counted
_PIECE = 16 << 20  # bytes of it in memory


async def is_shared(job: FileJob) -> bool:
    """Whether the batch's file is one that all workers read, in spans: it is large and plain, or cut already."""
    engine, batch = job.engine, job.batch
    assert batch.file is not None and batch.bytes is not None
    async with engine.pool.connection() as connection:
        if await spans.of_batch(connection, batch.id):  # whatever the settings are by now
            return True
    if batch.encoding or batch.bytes <= engine.settings.span_bytes:
        return False
    return is_plain(await asyncio.to_thread(engine.files.read, batch.file, 0, _HEAD))


async def share_out(job: FileJob) -> None:
    """Cut the batch's file into spans, and give each that is left a job."""
    engine, batch = job.engine, job.batch
    assert batch.file is not None and batch.bytes is not None
    async with engine.pool.connection() as connection:
        if await spans.of_batch(connection, batch.id):
            await _requeue_jobs(engine, connection, batch.id)
            return
    found, sha256 = await asyncio.to_thread(_survey, job, batch.file, batch.bytes)
    async with engine.pool.connection() as connection, connection.transaction():
        if (await batches.lock(connection, batch.id)).state == BatchState.READING:
            await spans.add(connection, batch.id, found)
            if sha256:
                await batches.set_sha256(connection, batch.id, sha256)
            await _requeue_jobs(engine, connection, batch.id)


def _survey(job: FileJob, file: str, size: int) -> tuple[list[Span], str | None]:
    """Where to cut the file, which takes counting its lines; and its SHA-256, if it is not known yet. Blocks."""
    span_bytes = job.engine.settings.span_bytes
    counter = LineCounter(min(CHUNK, span_bytes))
    digest = hashlib.sha256() if job.batch.sha256 is None else None
    for piece in _pieces(job, file, size):
        counter.feed(piece)
        if digest:
            digest.update(piece)
    cuts = enumerate(survey.spans(size, counter.counts, span_bytes, counter.chunk))
    found = [Span(number, each.start, each.stop, each.first_line) for number, each in cuts]
    return found, digest.hexdigest() if digest else None


def _pieces(job: FileJob, file: str, size: int) -> Iterator[bytes]:
    for start in range(0, size, _STRETCH):
        stop = min(start + _STRETCH, size)
        with job.engine.files.section(file, start, stop, job.go_on) as section, section.path.open("rb") as source:
            source.seek(start - section.at)
            for at in range(start, stop, _PIECE):
                job.go_on()
                yield source.read(min(_PIECE, stop - at))


async def _requeue_jobs(engine: Engine, connection: Connection, batch: str) -> None:
    """Give a job to what is to be done next. Where one waits already, nothing comes of the second."""
    found = await spans.of_batch(connection, batch)
    left = [each.number for each in found if each.state in spans.UNDER_WAY]
    for number in left:
        await engine.jobs.span(connection, batch, number)
    if not left:
        await engine.jobs.join(connection, batch)


async def take(engine: Engine, batch_id: str, number: int, stopping: asyncio.Event) -> None:
    """Do what is to be done with one span: read it, or take out the contacts that are in an earlier span too."""
    await work_on_file(engine, batch_id, BatchState.READING, stopping, partial(_take, number=number))


async def _take(job: FileJob, number: int) -> None:
    async with job.engine.pool.connection() as connection:
        span = await spans.get(connection, job.batch.id, number)
    match span:
        case Span(state=SpanState.UNREAD):
            await _settle(job, span, SpanState.READ, await asyncio.to_thread(_read, job, span))
        case Span(state=SpanState.DOUBLED):
            await _settle(job, span, SpanState.DONE, await asyncio.to_thread(_drop, job, span))


async def _settle(job: FileJob, span: Span, state: SpanState, receipt: Receipt) -> None:
    async with job.engine.pool.connection() as connection, connection.transaction():
        batch = await batches.lock(connection, job.batch.id)
        if batch.state != BatchState.READING or not await spans.settle(connection, batch.id, span, state, receipt):
            return
        await batches.reset_failures(connection, batch.id)
        if not await spans.any_under_way(connection, batch.id):
            await job.engine.jobs.join(connection, batch.id)


def _read(job: FileJob, span: Span) -> Receipt:
    """The span's contacts and rejects, in the store. Blocks."""
    limits = Limits.from_settings(job.engine.settings)
    with _section(job, span) as section:
        found = read_span(section.path, section.at, _bounds(span), job.folder, limits, progress=job.go_on)
    with Draft(job.engine.files) as draft:
        return store_receipt(draft, job.batch, found)


def _drop(job: FileJob, span: Span) -> Receipt:
    """The same without the contacts that are in an earlier span too: they become rejects. Blocks."""
    receipt, limits = _receipt(span), Limits.from_settings(job.engine.settings)
    assert span.losers is not None
    with ExitStack() as stack:
        section = stack.enter_context(_section(job, span))
        given = [intake.Part(_local(job, stack, part.file), part.size) for part in receipt.parts]
        rejects = _local(job, stack, receipt.rejects) if receipt.rejects else None
        losers = _local(job, stack, span.losers)
        where = section.path, section.at, _bounds(span), job.folder, limits
        left = drop_losers(given, rejects, losers, *where, progress=job.go_on)
        written = [part for old, part in zip(given, left.parts, strict=True) if part and part != old]
        draft = stack.enter_context(Draft(job.engine.files))
        stored = dict(zip(written, store_parts(draft, job.batch, written), strict=True))
        stored_rejects = _store(job, draft, left.rejects, "rejects")
    kept = zip(receipt.parts, left.parts, strict=True)
    duplicates = receipt.rejected.get(RejectCode.DUPLICATE, 0) + left.losers
    return replace(
        receipt,
        rejected={**receipt.rejected, RejectCode.DUPLICATE.value: duplicates},
        parts=[stored.get(part, known) for known, part in kept if part],
        rejects=stored_rejects,
    )


def _local(job: FileJob, stack: ExitStack, name: str) -> Path:
    """A file of the store on this machine until the stack is closed. Blocks."""
    return stack.enter_context(job.engine.files.local(name, job.go_on))


def _section(job: FileJob, span: Span) -> AbstractContextManager[Section]:
    """The span's bytes, and those of its last line, of which no more is wanted than a row may have."""
    assert job.batch.file is not None
    stop = span.stop + job.engine.settings.max_row_bytes + 2
    return job.engine.files.section(job.batch.file, span.start, stop, job.go_on)


def _bounds(span: Span) -> survey.Span:
    return survey.Span(span.start, span.stop, span.first_line)


def _store(job: FileJob, draft: Draft, path: Path | None, kind: str) -> str | None:
    return store(draft, job.batch, path, kind) if path else None


async def join(engine: Engine, batch_id: str, stopping: asyncio.Event) -> None:
    """Bring the spans together: compare them once all are read, and let everybody enter once all are done."""
    await work_on_file(engine, batch_id, BatchState.READING, stopping, _join)


async def _join(job: FileJob) -> None:
    found = await _spans(job)
    if all(span.state is SpanState.READ for span in found):
        await _compare(job, found)
        found = await _spans(job)
    if found and all(span.state is SpanState.DONE for span in found):
        await _enter(job, found)


async def _spans(job: FileJob) -> list[Span]:
    async with job.engine.pool.connection() as connection:
        return await spans.of_batch(connection, job.batch.id)


async def _compare(job: FileJob, found: list[Span]) -> None:
    """Find the contacts that are in an earlier span too; a span without any is done."""
    losers = await asyncio.to_thread(_find_losers, job, found)
    async with job.engine.pool.connection() as connection, connection.transaction():
        batch = await batches.lock(connection, job.batch.id)
        if batch.state != BatchState.READING:
            return
        for span, lost in zip(found, losers, strict=True):
            await spans.set_compared(connection, batch.id, span, lost)
            if lost:
                await job.engine.jobs.span(connection, batch.id, span.number)


def _find_losers(job: FileJob, found: list[Span]) -> list[str | None]:
    """For each span, the stored file of its contacts that are in an earlier one too, or None. Blocks."""
    receipts = [_receipt(span) for span in found]
    limits = Limits.from_settings(job.engine.settings)
    rehash = len({each.hash_family for each in receipts if each.ids}) > 1
    with ExitStack() as stack:
        ids = [_local(job, stack, each.ids) if each.ids else None for each in receipts]
        losers = find_losers(ids, job.folder, limits, progress=job.go_on, rehash=rehash)
    with Draft(job.engine.files) as draft:
        return [_store(job, draft, path, "losers") for path in losers]


async def _enter(job: FileJob, found: list[Span]) -> None:
    whole, failure = await asyncio.to_thread(_join_receipts, job, [_receipt(span) for span in found])
    if failure is None:
        whole = await reentry.admit(job, whole)
    if await enter(job.engine, job.batch, whole, failure):
        await retention.delete_file_soon(job.engine, job.batch.id)
        await asyncio.to_thread(_clear, job.engine, found)


def _join_receipts(job: FileJob, receipts: list[Receipt]) -> tuple[Receipt, FileFailed | None]:
    """The receipt of the whole file, as if it had been one span; and why no contact of it enters, if so. Blocks."""
    with ExitStack() as stack:
        files = [_local(job, stack, each.rejects) for each in receipts if each.rejects]
        rejects = join_rejects(files, job.folder / "rejects.parquet")
    rejected = sum((Counter(each.rejected) for each in receipts), Counter[str]())
    lines, blank = sum(each.lines for each in receipts), sum(each.blank for each in receipts)
    parts = [part for each in receipts for part in each.parts]
    failure = judge(lines - blank, len(parts), rejects)
    with Draft(job.engine.files) as draft:
        return Receipt(lines, blank, rejected, parts, _store(job, draft, rejects, "rejects")), failure


def _clear(engine: Engine, found: list[Span]) -> None:
    """Delete what is needed no more; what is missed here, the sweep of the ended batch finds. Blocks."""
    for span in found:
        receipt = _receipt(span)
        for name in (receipt.ids, receipt.rejects, span.losers):
            if name:
                engine.files.delete(name)


def _receipt(span: Span) -> Receipt:
    assert span.receipt is not None, "The span is not read."
    return span.receipt
