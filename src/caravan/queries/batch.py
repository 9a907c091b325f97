"""A batch as users see it: its state, what it waits for, and its ledger with the steps in the journey's order."""

from dataclasses import dataclass

from psycopg.rows import DictRow

from caravan.engine.engine import Engine
from caravan.journeys.model import Journey
from caravan.queries.waiting import Waiting, is_idle, stuck, why_it_waits, working
from caravan.store import batches
from caravan.store.batches import Batch, Page, read_batch
from caravan.store.database import Connection
from caravan.store.ledger import UNREACHED, Ledger, StepCounts, read_ledger


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch at one moment."""

    batch: Batch
    name: str  # of its journey
    journey: Journey | None  # the version that it takes, once that is known
    waits: list[Waiting]  # the most pressing first; none while it moves
    stuck: int  # contacts that a retry by command would take up again
    idle: bool  # nothing is moved or sent before the time of a wait comes
    ledger: Ledger
    settled: int  # contacts whose outcome is known although the ledger waits for the rest of their cohort
    dead_letters: int  # of its webhooks, that can be sent once more
    working: int  # contacts that a worker has in hand, or that are in line for one

    @property
    def waiting_for(self) -> str | None:
        """What it waits for, in one sentence that names every step."""
        return "; ".join(each.sentence for each in self.waits) or None

    @property
    def unreached(self) -> int:
        """How many times a contact left a message step that has, or may have, not reached it."""
        return sum(contacts for outcome, contacts in self.ledger.outcomes.items() if outcome in UNREACHED)

    @property
    def done(self) -> int:
        """How many times a contact has left a step, or is known to be about to."""
        return sum(sum(step.outcomes.values()) for step in self.ledger.steps) + self.settled


async def batch_report(engine: Engine, connection: Connection, customer: int, batch: str) -> BatchReport:
    """Report a batch of this customer. Raises `NotFound`, also for another customer's."""
    found = await batches.shown(connection, customer, batch, engine.clock.now())
    return await _report(engine, connection, found)


async def batch_reports(engine: Engine, connection: Connection, customer: int, wanted: Page) -> list[BatchReport]:
    """Report a page of a customer's batches, newest first."""
    found = await batches.page(connection, customer, wanted, engine.clock.now())
    return [await _report(engine, connection, each) for each in found]


async def _report(engine: Engine, connection: Connection, found: DictRow) -> BatchReport:
    batch, ledger = read_batch(found), read_ledger(found)
    journey = None
    if batch.version is not None:
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        known = {each.step: each for each in ledger.steps}
        ledger.steps = [known.get(step.id, StepCounts(step.id)) for step in journey.steps]
    waits = why_it_waits(batch, found, engine.clock.now())
    return BatchReport(
        batch,
        found["name"],
        journey,
        waits,
        stuck(found),
        is_idle(batch, found),
        ledger,
        found["settled"],
        found["dead_letters"],
        max(0, working(found, engine.clock.now()) - found["settled"]),
    )
