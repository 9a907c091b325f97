"""Arrivals: singles between their 202 and their cohort."""

from caravan.store import sql
from caravan.store.database import Connection, row

_Q = sql.load("caravan.store", "batches.sql")


async def any_waiting(connection: Connection, batch: str) -> bool:
    """Whether singles of this batch wait to be gathered."""
    found = await row(connection, _Q.has_arrivals, id=batch)
    return bool(found and found["there"])
