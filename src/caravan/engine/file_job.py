"""What the jobs that work on a batch's whole file have in common: fetching it, reading it.

Each has a folder of this machine to itself, stops soon when its batch is cancelled or its worker stops, fails the
batch when the file can't be used, and says on the batch what hinders it.
"""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from structlog.contextvars import bind_contextvars

from caravan.engine.engine import Engine
from caravan.engine.retention import delete_file_soon
from caravan.errors import CaravanError, FileFailed, FileFailure
from caravan.queue import transient
from caravan.store import batches
from caravan.store.batches import Batch, BatchState
from caravan.store.database import AWAY

_LOOK = 0.5  # seconds between two looks whether the batch still wants it


class Interrupted(CaravanError):
    """Work on a file stopped because its batch was cancelled or the worker is stopping."""


@dataclass(frozen=True, slots=True)
class FileJob:
    """One piece of work on a batch's file."""

    engine: Engine
    batch: Batch
    folder: Path  # of this machine, for this work alone; removed at its end
    interrupted: asyncio.Event

    def go_on(self, done: int = 0, total: int = 0) -> None:
        """Raise `Interrupted` if it is time to stop; for threads, which can't be stopped from outside."""
        if self.interrupted.is_set():
            raise Interrupted


Work = Callable[[FileJob], Awaitable[None]]


async def work_on_file(engine: Engine, batch_id: str, state: BatchState, stopping: asyncio.Event, work: Work) -> None:
    """Do `work` if the batch is in this state. A file that can't be used fails the batch."""
    async with engine.pool.connection() as connection:
        batch = await batches.get(connection, batch_id)
    bind_contextvars(customer=batch.customer_id)  # for the log of its job
    if batch.state != state:
        return
    with _scratch(engine) as folder:
        try:
            async with _interruption(engine, batch.id, state, stopping) as interrupted:
                await work(FileJob(engine, batch, folder, interrupted))
        except FileFailed as error:
            await fail(engine, batch.id, error)
            await delete_file_soon(engine, batch.id)
        except Interrupted:
            await _begin_again_later(engine, batch.id)


async def _begin_again_later(engine: Engine, batch_id: str) -> None:
    """The worker stops in the middle of a file: the next one that takes the job begins again, if it is still wanted."""
    async with engine.pool.connection() as connection:
        state = (await batches.get(connection, batch_id)).state
        if state == BatchState.READING:
            await engine.jobs.read(connection, batch_id)
        elif state == BatchState.RECEIVING:
            await engine.jobs.fetch(connection, batch_id)


@contextmanager
def _scratch(engine: Engine) -> Iterator[Path]:
    path = engine.scratch / secrets.token_hex(8)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@asynccontextmanager
async def _interruption(
    engine: Engine, batch: str, state: BatchState, stopping: asyncio.Event
) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the batch is no longer in this state or the worker stops."""
    interrupted = asyncio.Event()

    async def watch() -> None:
        while not interrupted.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _LOOK)
            with suppress(*AWAY):  # the work itself will meet it
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
        reason = transient.describe(error)
        around = transient.is_transient(error)
        async with engine.pool.connection() as connection:
            failures = await batches.note_failure(connection, batch, reason, transient=around)
        if around or failures is None or failures < transient.SAME_FAILURES:
            raise
        sentence = f"Reading failed {failures} times in the same way: {reason}"
        await fail(engine, batch, FileFailed(FileFailure.UNREADABLE, sentence))
