"""Batches whose contacts move into a newer version of their journey, and the batches that take them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from caravan.store import batches, sql
from caravan.store.batches import Batch
from caravan.store.database import Connection, row, rows
from caravan.store.entries import hashed

_Q = sql.load("caravan.store", "moving.sql")


async def older(connection: Connection, customer: int, journey: int, version: int) -> list[str]:
    """The batches that run in a version before this one."""
    values = {"customer": customer, "journey": journey, "version": version}
    return [each["id"] for each in await rows(connection, _Q.older, **values)]


async def open_cohorts(connection: Connection, batch: str) -> list[int]:
    """The cohorts of a batch that stand."""
    return [each["id"] for each in await rows(connection, _Q.cohorts, batch=batch)]


async def target(connection: Connection, batch: str, version: int) -> str | None:
    """The batch that takes the contacts of another one into a version, if it is open."""
    found = await row(connection, _Q.target, batch=batch, version=version)
    return found["id"] if found else None


async def open_target(connection: Connection, batch: Batch, version: int, now: datetime) -> None:
    """Open that batch, paused if the other one is, which the caller has locked."""
    await connection.execute(_Q.open, {"id": batches.new_batch_id(), "batch": batch.id, "version": version, "now": now})


async def move_entries(connection: Connection, batch: Batch, to: str, contacts: Sequence[str]) -> None:
    """Whoever entered the journey by one batch has entered it by the other."""
    ids = [UUID(hashed(each)) for each in contacts]
    values = {"customer": batch.customer_id, "journey": batch.journey_id, "batch": batch.id, "to": to, "contacts": ids}
    await connection.execute(_Q.move_entries, values)
