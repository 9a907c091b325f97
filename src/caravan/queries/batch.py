"""A batch as users see it: its state, why it waits, and its ledger with the steps in the journey's order."""

from dataclasses import dataclass

from psycopg.rows import DictRow

from caravan.engine.engine import Engine
from caravan.queries.waiting import waiting_for
from caravan.store import batches
from caravan.store.batches import Batch, read_batch
from caravan.store.database import Connection
from caravan.store.ledger import Ledger, StepCounts, read_ledger


@dataclass(frozen=True, slots=True)
class Report:
    """One batch, reported."""

    batch: Batch
    waiting_for: str | None
    ledger: Ledger


async def report(engine: Engine, connection: Connection, customer: int, batch: str) -> Report:
    """Report a batch of this customer. Raises `NotFound`, also for another customer's."""
    return await _report(engine, connection, await batches.shown(connection, customer, batch))


async def reports(
    engine: Engine, connection: Connection, customer: int, limit: int, before: str | None
) -> list[Report]:
    """Report a page of a customer's batches, newest first."""
    found = await batches.page(connection, customer, limit, before)
    return [await _report(engine, connection, each) for each in found]


async def _report(engine: Engine, connection: Connection, found: DictRow) -> Report:
    batch, ledger = read_batch(found), read_ledger(found)
    if batch.version is not None:
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        known = {each.step: each for each in ledger.steps}
        ledger.steps = [known.get(step.id, StepCounts(step.id)) for step in journey.steps]
    return Report(batch, waiting_for(batch, found, engine.clock.now()), ledger)
