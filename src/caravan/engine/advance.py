"""The one way on. Whatever brings a cohort to move, a file, a single start, a retry, a timer, a resume:
it goes through `advance`, and each move is one transaction."""

import secrets
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from structlog.contextvars import bind_contextvars

from caravan.engine import crossing
from caravan.engine.engine import Engine
from caravan.engine.openings import checked_first, hears, openings_of, queue_of, step_of
from caravan.journeys.model import Journey
from caravan.queue import transient
from caravan.steps.exiting import check_arrivals
from caravan.steps.move import Asked, Move, Retry, Standing, Tools
from caravan.steps.remaining import remaining
from caravan.store import arrivals, batches, cohorts, dead_letters, journal, ledger, listening, turns
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import Cohort, Opening, Part
from caravan.store.database import Connection
from caravan.store.journal import Record
from caravan.store.ledger import Outcome
from caravan.store.listening import Listening
from caravan.store.queues import Queue

_SOON = timedelta(seconds=0.5)  # until a cohort is looked at again that has to let events be matched first


async def advance(engine: Engine, tools: Tools, cohort_id: int) -> None:
    """Let a cohort take its step, if it is its turn. Running twice does nothing twice."""
    taken = await _claim(engine, cohort_id)
    if taken is None:
        return
    cohort, journey = taken
    bind_contextvars(batch=cohort.batch, customer=cohort.customer)  # for the log of its job
    try:
        moved = await _take_step(engine, tools, journey, cohort)
    except Exception as error:
        await _note_failure(engine, cohort, error)
        raise
    if not moved:
        await _let_go(engine, cohort)


async def _take_step(engine: Engine, tools: Tools, journey: Journey, cohort: Cohort) -> bool:
    """Move a cohort by its step; False if it is to go on later."""
    kind, refused = step_of(journey, cohort.step).kind, dict[int, str]()
    while True:
        with engine.metrics.timed(engine.metrics.move_seconds.labels(kind)):
            move = await _move(engine, tools, journey, cohort, refused)
        if move is None:
            return False
        try:
            with engine.metrics.timed(engine.metrics.commit_seconds):
                async with engine.pool.connection() as connection:
                    if not await _commit(engine, connection, journey, cohort, move):
                        await crossing.discard(engine, move)
            return True
        except crossing.Overtaken as overtaken:
            refused.update(overtaken.refused)
            await crossing.discard(engine, move)


async def _move(
    engine: Engine, tools: Tools, journey: Journey, cohort: Cohort, refused: crossing.Refusals
) -> Move | None:
    """What its step does to a cohort. Nothing, if all that is left is to recall it: then everyone stays."""
    if await _is_recalled(engine, cohort):
        part, now = (await remaining(cohort, tools)).part, engine.clock.now()
        if cohort.asked:
            return Move([], {}, [], asked=[Asked(part, now, cohort.doubt)])
        return Move([], {}, [], retries=[Retry(part, now, "", doubt=cohort.doubt)])
    step = step_of(journey, cohort.step)
    if journey.exits:
        tools = replace(tools, exits=journey.exits)
    if cohort.checks:
        return await check_arrivals(cohort, tools)
    if hears(journey, step):
        cohort = await remaining(cohort, tools)
    move = await step.take(cohort, tools)
    if move is not None and move.entering is not None:
        return await crossing.prepared(engine, tools, cohort, move, refused)
    return move


async def _is_recalled(engine: Engine, cohort: Cohort) -> bool:
    """Whether its batch is cancelled and no sender has begun with it, so that none of it has been reached."""
    if cohort.state != BatchState.CANCELLED:
        return False
    async with engine.pool.connection() as connection:
        return not await cohorts.has_windows(connection, cohort.id)


async def open_cohorts(
    engine: Engine, connection: Connection, batch: Batch, journey: Journey, openings: list[Opening]
) -> None:
    """Open cohorts, count their contacts as arrived, and see to it that they advance when they are due."""
    now, arrived = engine.clock.now(), Counter[str]()
    openings = [checked_first(journey, each, now) for each in openings]
    for opening in await _in_turn(connection, batch, journey, openings, now):
        cohort = await cohorts.open_cohort(connection, batch.id, opening, now)
        if opening.replay:
            await dead_letters.mark_replay(connection, cohort)
        if opening.arrives:
            arrived[opening.step] += opening.part.size
        step = step_of(journey, opening.step)
        stands = opening.due_at > now or not opening.arrives  # else they go on at once, and nothing is heard meanwhile
        awaits = step.listens if opening.asked or not step.sends else frozenset[str]()
        if not opening.checks and (awaits or (stands and not step.sends and hears(journey, step))):
            entered = opening.entered_at or batch.started_at
            since = step.counts_from(opening.came_at or now, opening.before, entered)
            heard = Listening(awaits, since, journey.exits.events, entered or now)
            await listening.listen(connection, cohort, batch.customer_id, batch.id, heard)
        if batch.paused_at is None:
            queue = queue_of(journey, opening.step, opening.provider)
            await engine.jobs.advance(connection, cohort, queue, opening.due_at, opening.turn)
    await ledger.add_arrived(connection, batch.id, arrived)


async def _in_turn(
    connection: Connection, batch: Batch, journey: Journey, openings: list[Opening], now: datetime
) -> list[Opening]:
    """The same openings; those that are due take their places in their queues."""
    placed = list(openings)
    for queue in (Queue.ADVANCE, Queue.DELIVER, Queue.PACED):
        where = [
            index
            for index, each in enumerate(openings)
            if each.turn is None and each.due_at <= now and queue_of(journey, each.step, each.provider) is queue
        ]
        sizes = [openings[index].part.size for index in where]
        for index, turn in zip(where, await turns.take(connection, batch.id, queue, sizes), strict=True):
            placed[index] = replace(openings[index], turn=turn)
    return placed


async def _claim(engine: Engine, cohort_id: int) -> tuple[Cohort, Journey] | None:
    """The claimed cohort, with its journey; None if it is closed, paused, stuck, not due yet or not next in line."""
    async with engine.pool.connection() as connection:
        cohort = await cohorts.get(connection, cohort_id)
        if cohort is None or cohort.closed or cohort.stuck:
            return None
        if cohort.paused or cohort.state not in (BatchState.RUNNING, BatchState.CANCELLED):
            return None
        journey = await engine.journeys.get(connection, cohort.customer, cohort.journey, cohort.version)
        queue = queue_of(journey, cohort.step, cohort.provider)
        if cohort.due_at > engine.clock.now() and cohort.state != BatchState.CANCELLED:
            await engine.jobs.advance(connection, cohort.id, queue, cohort.due_at, cohort.turn)
            return None
        if await _has_events_before(engine, connection, journey, cohort):
            return None
        turn = await _turn_of(engine, connection, cohort, queue)
        if turn is None:
            return None
        token = secrets.token_hex(8)
        part = await cohorts.claim(connection, cohort.id, token)
        if part is None:
            return None
        if queue is Queue.ADVANCE:  # a sender says so itself, once it sends: it may only share the cohort out
            await turns.note_served(connection, queue, turn, cohort.part.size)
    late = engine.clock.now() - cohort.due_at
    engine.metrics.wake_lateness_seconds.observe(max(0.0, late.total_seconds()))
    claimed = cohort.claimed_by(token, journey.place(cohort.step))
    return replace(claimed, part=part, turn=turn), journey


async def _has_events_before(engine: Engine, connection: Connection, journey: Journey, cohort: Cohort) -> bool:
    """Whether its time is over, but events that came before are still to be matched, as after all workers were away:
    then it is looked at again soon."""
    step = step_of(journey, cohort.step)
    if not hears(journey, step) or (step.sends and not cohort.asked) or cohort.state == BatchState.CANCELLED:
        return False
    await listening.wait_for_takers(connection, cohort.customer)  # what they take came before its time was over
    if not await listening.is_unsettled(connection, cohort.id, cohort.due_at):
        return False
    await listening.defer_match(connection, cohort.customer)
    soon = engine.clock.now() + _SOON
    await engine.jobs.advance(connection, cohort.id, queue_of(journey, cohort.step), soon, cohort.turn)
    return True


async def _turn_of(engine: Engine, connection: Connection, cohort: Cohort, queue: Queue) -> int | None:
    """The cohort's turn; None if it took its place only now, as after a wait, and others are before it there."""
    if cohort.turn is not None:
        return cohort.turn
    # The batch, the cohort, the batch's row of turns: in the order in which a move or a cancel takes them. The row of
    # turns refers to the batch: it would be made, and wait for the batch, while a move that has it waits for the row.
    await batches.share(connection, cohort.batch)
    if not await cohorts.lock(connection, cohort.id):
        return None
    (turn,) = await turns.take(connection, cohort.batch, queue, [cohort.part.size])
    await turns.set_turn(connection, cohort.id, turn)
    if not await turns.others_first(connection, queue, turn, placed=True):
        return turn
    await engine.jobs.advance(connection, cohort.id, queue, cohort.due_at, turn)
    return None


async def enter_part(engine: Engine, connection: Connection, batch: Batch, part: Part) -> None:
    """Contacts that came without a file enter a batch, which the caller has locked: as lines that were all accepted."""
    assert batch.version is not None
    await arrivals.enter(connection, batch.id, part.size)
    journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    entry, now = journey.entry.id, engine.clock.now()
    if batch.state == BatchState.CANCELLED:
        await arrive_and_leave(connection, batch.id, entry, part, now)
    else:
        due = step_of(journey, entry).due(now)
        opening = Opening(entry, part, visit=0, due_at=due, entered_at=now)
        await open_cohorts(engine, connection, batch, journey, [opening])


async def _note_failure(engine: Engine, cohort: Cohort, error: Exception) -> None:
    """Leave the cohort standing with the reason; if it is the work itself that fails, it is stuck in the end."""
    async with engine.pool.connection() as connection:
        await cohorts.let_go(connection, cohort.id, cohort.claim)
        reason = transient.describe(error)
        if transient.is_transient(error):
            await cohorts.note_trouble(connection, cohort.id, reason)
        else:
            limit = transient.SAME_FAILURES
            await cohorts.note_failure(connection, cohort.id, reason, limit, engine.clock.now())


async def _let_go(engine: Engine, cohort: Cohort) -> None:
    """Leave the cohort standing for later; after a stop of this worker or the end of a turn, for the next sender."""
    async with engine.pool.connection() as connection:
        await cohorts.let_go(connection, cohort.id, cohort.claim)
        standing = await cohorts.get(connection, cohort.id)
        if standing and not standing.closed and not standing.paused and standing.claim is None:
            due = cohort.due_at if standing.state == BatchState.CANCELLED else standing.due_at
            queue = Queue.DELIVER if standing.provider is None else Queue.PACED
            await engine.jobs.advance(connection, cohort.id, queue, due, standing.turn)


async def _commit(engine: Engine, connection: Connection, journey: Journey, cohort: Cohort, move: Move) -> bool:
    """Close the cohort, open what comes of it, change the ledger, defer the next jobs: together or not at all. False if
    another has moved it, or its claim is void."""
    now = engine.clock.now()
    async with connection.transaction():
        if move.entering is not None:
            await crossing.begin(connection, cohort, move.entering)
        batch = await batches.lock(connection, cohort.batch)
        assert cohort.claim is not None
        if not await cohorts.close(connection, cohort.id, cohort.claim, now):
            return False
        if batch.hindrance is not None:  # of a sender that could not note what it sent
            await batches.clear_hindrance(connection, batch.id)
        if batch.state == BatchState.CANCELLED:
            if move.entering is not None:
                move = Move([], {}, [], retries=[Retry(cohort.part, now, "")])
            move = await _recalled(connection, journey, cohort, move, now)
        if move.entering is not None and move.entering.part is not None:
            other = await crossing.admitted(engine, connection, move.entering)
            await enter_part(engine, connection, other, move.entering.part)
        await ledger.add_left(connection, batch.id, cohort.step, move.outcomes)
        await journal.add_records(connection, batch.id, move.records, now)
        if move.dead is not None:
            await dead_letters.add(connection, batch.id, cohort.step, cohort.visit, move.dead, None, now)
        await cohorts.delete_windows(connection, cohort.id)
        if hears(journey, step_of(journey, cohort.step)):
            await listening.forget(connection, [cohort.id])
        await open_cohorts(engine, connection, batch, journey, openings_of(cohort, journey, move, now))
        await finish_if_empty(connection, batch, now)
    kind = step_of(journey, cohort.step).kind
    engine.metrics.moves.labels(kind).inc()
    engine.metrics.retries.labels(kind).inc(sum(retry.part.size for retry in move.retries))
    return True


async def _recalled(connection: Connection, journey: Journey, cohort: Cohort, move: Move, now: datetime) -> Move:
    """The same move in a cancelled batch: those that stay are recalled, and those that go on at the next step."""
    stays: list[Retry | Standing | Asked] = [*move.retries, *move.standing, *move.asked]
    for stay in stays:
        await recall(
            connection,
            journey,
            cohort.batch,
            cohort.step,
            stay.part,
            now,
            doubt=stay.doubt,
            asked=isinstance(stay, Asked),
            replay=cohort.replay,
        )
    for part in [*move.checked, *(share.part for share in move.shares)]:
        await recall(
            connection, journey, cohort.batch, cohort.step, part, now, doubt=cohort.doubt, replay=cohort.replay
        )
    for passage in move.passages:
        if passage.to is not None:
            await arrive_and_leave(connection, cohort.batch, passage.to, passage.part, now)
    return Move(passages=[], outcomes=move.outcomes, records=move.records, dead=move.dead)


async def recall(
    connection: Connection,
    journey: Journey,
    batch: str,
    step: str,
    part: Part,
    now: datetime,
    *,
    doubt: bool,
    asked: bool = False,
    replay: bool = False,
) -> None:
    """Contacts that stand at a step leave it as cancelled. Those in doubt leave it as unknown, since an earlier try may
    have reached them, and get no further than the next step: from a `replay` not even there. Of those who were `asked`
    for the journal says so."""
    outcome = Outcome.UNKNOWN if doubt else Outcome.CANCELLED
    detail = "an earlier attempt may have arrived" if doubt else "asked, and not answered" if asked else None
    await ledger.add_left(connection, batch, step, {outcome: part.size})
    await journal.add_records(connection, batch, [Record(step, part.file, outcome, detail)], now)
    following = journey.step(step).next
    if doubt and following is not None and not replay:
        await arrive_and_leave(connection, batch, following, part, now)


async def arrive_and_leave(connection: Connection, batch: str, step: str, part: Part, now: datetime) -> None:
    """Contacts arrive at a step and get no further."""
    await ledger.add_arrived(connection, batch, {step: part.size})
    await ledger.add_left(connection, batch, step, {Outcome.CANCELLED: part.size})
    await journal.add_records(connection, batch, [Record(step, part.file, Outcome.CANCELLED)], now)


async def finish_if_empty(connection: Connection, batch: Batch, now: datetime) -> None:
    """A running batch in which no contact stands any more is completed. The caller has it locked."""
    if batch.state != BatchState.RUNNING:
        return
    if not await cohorts.any_standing(connection, batch.id) and not await arrivals.any_waiting(connection, batch.id):
        await batches.end(connection, batch.id, BatchState.COMPLETED, now)
