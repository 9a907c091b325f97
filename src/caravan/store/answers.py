"""Cohorts whose contacts somebody was asked about."""

from datetime import datetime

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "answers.sql")


async def cohorts_at(connection: Connection, batch: str, step: str, visit: int, now: datetime) -> list[tuple[int, str]]:
    """The cohorts, with their files, in which contacts are being asked about at a step, or stand for the answer."""
    found = await rows(connection, _Q.cohorts_at, batch=batch, step=step, visit=visit, now=now)
    return [(each["id"], each["file"]) for each in found]


async def stands(connection: Connection, cohort: int, now: datetime) -> bool:
    """Whether it is still one of these. If so it stays one until the caller's commit."""
    return await row(connection, _Q.stands, cohort=cohort, now=now) is not None
