"""Pause, resume and cancel: one update each, however many contacts there are. All are idempotent."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

from caravan.engine.advance import finish_if_empty, open_cohorts, recall
from caravan.engine.engine import Engine
from caravan.engine.openings import queue_of, step_of
from caravan.engine.singles import recall_arrivals
from caravan.errors import Conflict
from caravan.store import batches, cohorts, dead_letters, jobs, journal, journeys, ledger, listening, turns
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import Opening, Requeued
from caravan.store.database import Connection
from caravan.store.journal import Record
from caravan.store.ledger import Outcome

_PAUSABLE = (BatchState.READING, BatchState.RUNNING)


async def pause(engine: Engine, connection: Connection, customer: int, batch_id: str) -> Batch:
    """Let no contact of the batch move until it is resumed. Raises `Conflict` where there is nothing to pause."""
    async with connection.transaction():
        batch = await _locked(connection, customer, batch_id)
        if batch.paused_at is not None:
            return batch
        if batch.state not in _PAUSABLE:
            raise Conflict(f"Batch {batch.id} is {batch.state}; only a batch that is reading or running can pause.")
        await batches.set_paused(connection, batch.id, engine.clock.now())
        return await batches.get(connection, batch.id)


async def resume(engine: Engine, connection: Connection, customer: int, batch_id: str) -> Batch:
    """Let the batch go on where it was, or begin if it was held for review. Raises `Conflict` if it has ended, or is to
    be held and not read yet: there is nothing yet that anyone could have reviewed."""
    async with connection.transaction():
        batch = await _locked(connection, customer, batch_id)
        if batch.ended:
            raise Conflict(f"Batch {batch.id} is {batch.state}; it can't be resumed.")
        if batch.paused_at is None:
            return _unpaused(batch)
        await batches.set_paused(connection, batch.id, None)
        if batch.held:
            await batches.release_hold(connection, batch.id)
        now = engine.clock.now()
        frozen = batch.freeze_waits or batch.held  # the time of a wait at the entry begins when the batch does
        await cohorts.leave_out_pause(connection, batch.id, batch.paused_at, now, frozen=frozen)
        await turns.forget(connection, batch.id)
        if batch.state == BatchState.RUNNING:
            await _requeue(engine, connection, batch, await cohorts.unclosed(connection, batch.id))
            if await listening.any_looking(connection, batch.id):  # events of the time of the pause count
                await listening.defer_match(connection, batch.customer_id)
        return await batches.get(connection, batch.id)


def _unpaused(batch: Batch) -> Batch:
    """The batch, which goes on already. Raises `Conflict` if it is about to be held."""
    if batch.hold:
        raise Conflict(
            f"Batch {batch.id} is {batch.state} and will be held for review; it can be resumed once it is read whole."
        )
    return batch


async def _requeue(engine: Engine, connection: Connection, batch: Batch, found: list[Requeued]) -> None:
    """Give each of these cohorts its job."""
    assert batch.version is not None
    journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    for cohort in found:
        queue = queue_of(journey, cohort.step, cohort.provider)
        await engine.jobs.advance(connection, cohort.id, queue, cohort.due_at, cohort.turn)


async def retry(engine: Engine, connection: Connection, customer: int, batch_id: str) -> Batch:
    """Take up what was stuck once more, also for a cancel that is still carried out. Nothing happens if nothing is.
    Raises `Conflict` if the batch has ended otherwise."""
    async with connection.transaction():
        batch = await _locked(connection, customer, batch_id)
        if batch.version is None or (batch.ended and batch.state != BatchState.CANCELLED):
            raise Conflict(f"Batch {batch.id} is {batch.state}; there is nothing to retry.")
        await _requeue(engine, connection, batch, await cohorts.unstick(connection, batch.id))
        return batch


async def give_up(engine: Engine, connection: Connection, customer: int, batch_id: str) -> Batch:
    """Fail the contacts that are only being retried, now: they leave their step as `failed` (as `unknown` where an
    earlier attempt may have arrived) and go on. Nothing happens where there is none.
    Raises `Conflict` unless the batch is running."""
    async with connection.transaction():
        batch = await _locked(connection, customer, batch_id)
        if batch.state != BatchState.RUNNING or batch.version is None:
            raise Conflict(f"Batch {batch.id} is {batch.state}; only in a running batch retries can be given up.")
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        now = engine.clock.now()
        for cohort in await cohorts.close_retried(connection, batch.id, now):
            outcome = Outcome.UNKNOWN if cohort.doubt else Outcome.FAILED
            record = Record(cohort.step, cohort.part.file, outcome, f"given up by command: {cohort.reason}")
            await ledger.add_left(connection, batch.id, cohort.step, {outcome: cohort.part.size})
            await journal.add_records(connection, batch.id, [record], now)
            following = step_of(journey, cohort.step).unreached_to
            if outcome is Outcome.FAILED and step_of(journey, cohort.step).keeps_letters:
                letters = (cohort.step, cohort.visit, cohort.part, record.detail)
                await dead_letters.add(connection, batch.id, *letters, now)
            if following is not None and not cohort.replay:
                due = step_of(journey, following).due(now)
                onward = Opening(following, cohort.part, visit=cohort.visit + 1, due_at=due)
                await open_cohorts(engine, connection, batch, journey, [onward])
        await finish_if_empty(connection, batch, now)
        return await batches.get(connection, batch.id)


async def cancel(engine: Engine, connection: Connection, customer: int, batch_id: str) -> Batch:
    """Recall the batch: contacts that no worker has claimed leave as `cancelled`; a sender in the middle of a cohort
    stops before its next contact and cancels the rest. Raises `Conflict` if the batch has ended otherwise.
    """
    async with connection.transaction():
        batch = await _locked(connection, customer, batch_id)
        if batch.state == BatchState.CANCELLED:
            return batch
        if batch.ended:
            raise Conflict(f"Batch {batch.id} is {batch.state}; it can't be cancelled any more.")
        now = engine.clock.now()
        if batch.state == BatchState.RUNNING:
            await _recall_all(engine, connection, batch, now)
        ended = await batches.end(connection, batch.id, BatchState.CANCELLED, now)
        await recall_arrivals(engine, connection, ended)
        return ended


async def _recall_all(engine: Engine, connection: Connection, batch: Batch, now: datetime) -> None:
    """All contacts leave that no worker has claimed. A cohort of which a part was sent before a pause or a failure goes
    to a sender once more, which tells the ones from the others; so does a claimed one, should its worker be dead."""
    assert batch.version is not None
    journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    for cohort in await cohorts.close_unclaimed(connection, batch.id, now):
        await recall(
            connection,
            journey,
            batch.id,
            cohort.step,
            cohort.part,
            now,
            doubt=cohort.doubt,
            asked=cohort.asked,
            replay=cohort.replay,
        )
    left = await cohorts.release(connection, batch.id)
    await _requeue(engine, connection, batch, left)
    await jobs.hasten(connection, [each.id for each in left])


async def pause_journey(engine: Engine, connection: Connection, customer: int, journey: int) -> list[str]:
    """Pause all batches of a journey, and those that start while it is paused. The ids of those that it changed."""
    return await _each_batch(engine, connection, customer, journey, pause, engine.clock.now())


async def resume_journey(engine: Engine, connection: Connection, customer: int, journey: int) -> list[str]:
    """Let all batches of a journey go on, but for those that are held for review: each of them is resumed by itself.
    The ids of those that it changed."""
    return await _each_batch(engine, connection, customer, journey, _resume_unless_held, None)


async def _resume_unless_held(engine: Engine, connection: Connection, customer: int, batch_id: str) -> Batch:
    if (await batches.of_customer(connection, customer, batch_id)).held:
        raise Conflict(f"Batch {batch_id} is held for review; resume it by itself.")
    return await resume(engine, connection, customer, batch_id)


async def cancel_journey(engine: Engine, connection: Connection, customer: int, journey: int) -> list[str]:
    """Recall all batches of a journey that have not ended. The ids of those that it changed."""
    return await _each_batch(engine, connection, customer, journey, cancel, None)


Change = Callable[[Engine, Connection, int, str], Awaitable[Batch]]


async def _each_batch(
    engine: Engine, connection: Connection, customer: int, journey: int, change: Change, paused_at: datetime | None
) -> list[str]:
    await journeys.latest(connection, customer, journey)
    changed = []
    async with connection.transaction():
        for each in await journeys.set_paused(connection, customer, journey, paused_at):
            with suppress(Conflict):  # this one is in a state that can't be changed so
                changed.append((await change(engine, connection, customer, each)).id)
    return changed


async def _locked(connection: Connection, customer: int, batch_id: str) -> Batch:
    await batches.of_customer(connection, customer, batch_id)
    return await batches.lock(connection, batch_id)
