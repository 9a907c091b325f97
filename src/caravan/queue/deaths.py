"""Work that dies with its worker, again and again.

A row on which a library crashes, or work that takes more memory than there is, kills its worker: nobody is left to note
a failure, and whoever takes it up next dies too, with all else that is in hand. So who puts a dead worker's jobs back
counts the deaths of each, as long as nothing of it gets done in between. After some the job rests before it is taken
up again, so that the one that kills and those that are only near it part company; after more it is given up, like work
that fails.
"""

from collections.abc import Mapping

from psycopg.rows import DictRow

from caravan.backoff import Backoff
from caravan.errors import FileFailure
from caravan.store import batches, sql
from caravan.store.batches import Batch, BatchState
from caravan.store.database import Connection, row

COHORT_DEATHS = 10  # and a cohort is stuck
FILE_DEATHS = 30  # and its file fails a batch: work on files may take long, and be near many deaths of others
_AT_ONCE = 2  # so many times it is taken up again at once
_REST = Backoff(first=8.0, factor=2.0, longest=15.0, jitter=1.0)  # by chance, so that jobs that died together part
_REASON = "the worker that had them in hand died"
_COHORTS = sql.load("caravan.store", "cohorts.sql")
_BATCHES = sql.load("caravan.store", "batches.sql")
_SPANS = sql.load("caravan.store", "spans.sql")


async def note_death(connection: Connection, task: str, arguments: Mapping[str, object]) -> float:
    """A worker died with this job in hand. The seconds for which the job is to rest."""
    match task, arguments:
        case "advance", {"cohort": int(cohort)}:
            noted = await row(connection, _COHORTS.note_death, id=cohort, reason=_REASON, limit=COHORT_DEATHS)
        case "span", {"batch": str(batch), "number": int(number)}:
            locked = await batches.lock(connection, batch)  # first, as everybody does
            noted = await row(connection, _SPANS.note_death, batch=batch, number=number)
            await _judge_file(connection, locked, noted)
        case "fetch" | "collect" | "read" | "join", {"batch": str(batch)}:
            locked = await batches.lock(connection, batch)
            noted = await row(connection, _BATCHES.note_death, id=batch)
            await _judge_file(connection, locked, noted)
        case "gather", {"batch": str(batch)}:  # its singles were promised to be kept: it rests, but is never given up
            noted = await row(connection, _BATCHES.note_death, id=batch)
        case _:
            noted = None
    deaths = noted["deaths"] if noted else 0
    return _REST.delay(deaths - _AT_ONCE)


async def _judge_file(connection: Connection, batch: Batch, noted: DictRow | None) -> None:
    """Say on the batch what hinders the work on its file, and in the end give it up."""
    if noted is None or noted["deaths"] <= _AT_ONCE:
        return
    if batch.state not in (BatchState.RECEIVING, BatchState.READING):
        return
    if noted["deaths"] < FILE_DEATHS:
        sentence = f"Work on the file ended {noted['deaths']} times with the death of its worker; it is tried again."
        await batches.note_hindrance(connection, batch.id, sentence)
    else:
        sentence = f"Work on the file ended {noted['deaths']} times with the death of its worker."
        code = FileFailure.UNREADABLE
        await batches.end(connection, batch.id, BatchState.FAILED, noted["now"], code=code, error=sentence)
