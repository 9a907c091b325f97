"""A batch as users see it: its state, why it waits, and its ledger with the steps in the journey's order."""

from dataclasses import dataclass

from caravan.engine.engine import Engine
from caravan.engine.waiting import waiting_for
from caravan.store import ledger
from caravan.store.batches import Batch
from caravan.store.database import Connection
from caravan.store.ledger import Ledger, StepCounts


@dataclass(frozen=True, slots=True)
class Report:
    """One batch, reported."""

    batch: Batch
    waiting_for: str | None
    ledger: Ledger


async def report(engine: Engine, connection: Connection, batch: Batch) -> Report:
    """Report one batch."""
    return (await reports(engine, connection, [batch]))[0]


async def reports(engine: Engine, connection: Connection, found: list[Batch]) -> list[Report]:
    """Report several batches. On a snapshot, or with the batch locked: only then does a ledger that moves balance."""
    ids = [batch.id for batch in found]
    steps = await ledger.step_counts(connection, ids)
    rejected = await ledger.rejected_counts(connection, ids)
    now = engine.clock.now()
    return [
        Report(
            batch,
            await waiting_for(connection, batch, now),
            Ledger(
                lines=batch.lines,
                blank=batch.blank,
                entered=batch.entered,
                rejected=rejected.get(batch.id, {}),
                steps=await _in_order(engine, connection, batch, steps.get(batch.id, [])),
            ),
        )
        for batch in found
    ]


async def _in_order(engine: Engine, connection: Connection, batch: Batch, counts: list[StepCounts]) -> list[StepCounts]:
    if batch.version is None:
        return counts
    journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    known = {each.step: each for each in counts}
    return [known.get(step.id, StepCounts(step.id)) for step in journey.steps]
