"""Work that dies with its worker, again and again.

A row on which a library crashes, or work that takes more memory than there is, kills its worker: nobody is left to note
a failure, and whoever takes it up next dies too, with all else that is in hand. So who puts a dead worker's jobs back
counts the deaths of each. After some in a row a job rests before it is taken up again, so that the one that kills and
those that are only near it part company; after more it is given up, like work that fails.
"""

import random
from collections.abc import Mapping
from datetime import datetime

from caravan.errors import FileFailure
from caravan.store import batches, sql
from caravan.store.batches import BatchState
from caravan.store.database import Connection, row

COHORT_DEATHS = 10  # in a row, with nothing settled in between, and a cohort is stuck
FILE_DEATHS = 30  # and its file fails a batch: work on files may take long, and be near many deaths of others
_AT_ONCE = 2  # so many times it is taken up again at once
_LONGEST_REST = 15.0  # seconds
_COHORT_REASON = "the worker that had them in hand died"
_FILE_HINDRANCE = "The worker that had the file in hand died; another begins again."
_COHORTS = sql.load("caravan.store", "cohorts.sql")
_BATCHES = sql.load("caravan.store", "batches.sql")


async def note_death(connection: Connection, task: str, arguments: Mapping[str, object]) -> float:
    """A worker died with this job in hand. The seconds for which the job is to rest."""
    match task, arguments:
        case "advance", {"cohort": int(cohort)}:
            deaths = await _of_cohort(connection, cohort)
        case "fetch" | "collect" | "read" | "span" | "join", {"batch": str(batch)}:
            deaths = await _of_file(connection, batch)
        case _:
            deaths = 1
    return 0.0 if deaths <= _AT_ONCE else random.uniform(0, min(2.0**deaths, _LONGEST_REST))


async def _of_cohort(connection: Connection, cohort: int) -> int:
    noted = await row(connection, _COHORTS.note_death, id=cohort, reason=_COHORT_REASON, limit=COHORT_DEATHS)
    return noted["failures"] if noted else 1


async def _of_file(connection: Connection, batch: str) -> int:
    noted = await row(connection, _BATCHES.note_death, id=batch, hindrance=_FILE_HINDRANCE)
    if noted is None:
        return 1
    if noted["failures"] >= FILE_DEATHS:
        await _give_up(connection, batch, noted["failures"], noted["now"])
    return int(noted["failures"])


async def _give_up(connection: Connection, batch: str, deaths: int, now: datetime) -> None:
    sentence = f"Reading ended {deaths} times with the death of its worker."
    await batches.end(connection, batch, BatchState.FAILED, now, code=FileFailure.UNREADABLE, error=sentence)
