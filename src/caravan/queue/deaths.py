"""Work that ends with the death of its worker, again and again.

A row on which a library crashes, or work that takes more memory than there is, kills its worker, so no failure is
noted; and the next worker that takes it up dies too, with all its other jobs. So the process that puts a dead worker's
jobs back counts the deaths of each, as long as nothing of it gets done in between. After some the job rests before it
is taken up again, so that the one that kills and those that only ran beside it part; after more it is given up, like
work that fails.
"""

from collections.abc import Mapping

from caravan.backoff import Backoff
from caravan.errors import FileFailure
from caravan.store import batches, cohorts, database, spans
from caravan.store.batches import Batch, BatchState
from caravan.store.database import Connection
from caravan.store.queues import Task

COHORT_DEATHS = 10  # and a cohort is stuck
FILE_DEATHS = 30  # and its file fails a batch: work on files may take long, and be near many deaths of others
_AT_ONCE = 2  # so many times it is taken up again at once
_REST = Backoff(first=8.0, factor=2.0, longest=15.0, jitter=1.0)  # by chance, so that jobs that died together part
_REASON = "the worker that had them in hand died"


async def note_death(connection: Connection, task: str, arguments: Mapping[str, object]) -> float:
    """The worker that ran this job died. The seconds for which the job is to rest."""
    return _REST.delay(await _count(connection, task, arguments) - _AT_ONCE)


async def _count(connection: Connection, task: str, arguments: Mapping[str, object]) -> int:
    """Count the death on the row that the job works on, and give that up if need be; how many it is."""
    match task, arguments:
        case Task.ADVANCE, {"cohort": int(cohort)}:
            return await cohorts.note_death(connection, cohort, _REASON, COHORT_DEATHS)
        case Task.SPAN, {"batch": str(batch), "number": int(number)}:
            locked = await batches.lock(connection, batch)  # first, as everywhere
            return await _judge_file(connection, locked, await spans.note_death(connection, batch, number))
        case Task.FETCH | Task.COLLECT | Task.READ | Task.JOIN, {"batch": str(batch)}:
            locked = await batches.lock(connection, batch)
            return await _judge_file(connection, locked, await batches.note_death(connection, batch))
        case Task.GATHER, {"batch": str(batch)}:  # its singles were promised to be kept: it is never given up
            return await batches.note_death(connection, batch)
    return 0


async def _judge_file(connection: Connection, batch: Batch, deaths: int) -> int:
    """Say on the batch what hinders the work on its file, and in the end give it up. The deaths."""
    if deaths > _AT_ONCE and batch.state in (BatchState.RECEIVING, BatchState.READING):
        sentence = f"Work on the file ended {deaths} times with the death of its worker"
        if deaths < FILE_DEATHS:
            await batches.note_hindrance(connection, batch.id, f"{sentence}; it is tried again.")
        else:
            now, code = await database.now(connection), FileFailure.UNREADABLE
            await batches.end(connection, batch.id, BatchState.FAILED, now, code=code, error=f"{sentence}.")
    return deaths
