"""Which batches are to be forgotten or swept, and which files are still needed."""

from datetime import datetime

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_BATCHES = sql.load("caravan.store", "batches.sql")
_COHORTS = sql.load("caravan.store", "cohorts.sql")


async def is_empty(connection: Connection, batch: str) -> bool:
    """Whether no contact of a batch stands at a step or is about to enter."""
    standing = await row(connection, _COHORTS.any_standing, batch=batch)
    waiting = await row(connection, _BATCHES.has_arrivals, id=batch)
    return not (standing and standing["there"]) and not (waiting and waiting["there"])


async def outlived(connection: Connection, now: datetime, days: int) -> list[str]:
    """Some ended batches that have been kept for so many days, or as long as their customer wants."""
    return _ids(await rows(connection, _BATCHES.outlived, now=now, days=days))


async def count_outlived(connection: Connection, customer: int, now: datetime, days: int) -> tuple[int, int]:
    """How many ended batches of a customer have been kept for so many days, and with how many contacts."""
    found = await row(connection, _BATCHES.count_outlived, customer=customer, now=now, days=days)
    assert found is not None
    return found["batches"], found["contacts"]


async def forget(connection: Connection, batch: str, now: datetime) -> None:
    """Its cohorts are gone, and its row says so. The caller has it locked."""
    await connection.execute(_COHORTS.delete_of_batch, {"batch": batch})
    await connection.execute(_BATCHES.set_forgotten, {"id": batch, "now": now})


async def with_read_files(connection: Connection, before: datetime) -> list[str]:
    """Batches that name a file which is not needed any more."""
    return _ids(await rows(connection, _BATCHES.read_files, before=before))


async def forget_file(connection: Connection, batch: str, file: str) -> None:
    """The file that a batch was read from is gone."""
    await connection.execute(_BATCHES.forget_file, {"id": batch, "file": file})


async def unswept(connection: Connection, before: datetime) -> list[str]:
    """Some batches that ended before a moment and whose folder has not been swept since."""
    return _ids(await rows(connection, _BATCHES.unswept, before=before))


async def named_files(connection: Connection, batch: str) -> set[str]:
    """All files of an ended batch that can still be asked for."""
    return {str(each["file"]) for each in await rows(connection, _BATCHES.named_files, id=batch)}


async def set_swept(connection: Connection, batch: str, now: datetime) -> None:
    """Its folder has been swept."""
    await connection.execute(_BATCHES.set_swept, {"id": batch, "now": now})


def _ids(found: list[dict[str, object]]) -> list[str]:
    return [str(each["id"]) for each in found]
