"""Answers for contacts that were asked for (`ask`): each counts once, and only while its contact stands for it.

An answer is an event of the contact. What it is taken for, and whether the time was over before, is settled in one
transaction: it holds the row of the cohort, which the end of the time, a recall and another answer need as well.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, Final

import pyarrow.parquet as pq

from caravan.delivery.answers import ANSWER, Answer
from caravan.delivery.key import DeliveryKey
from caravan.engine.engine import Engine
from caravan.engine.hits import ids_at
from caravan.errors import Conflict, Gone, NotFound, Unavailable
from caravan.events.event import Event, Origin
from caravan.events.take import take_each
from caravan.journeys.model import Step
from caravan.store import answers, batches, cohorts, events, listening
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import may_hold
from caravan.store.database import Connection

_SOURCE: Final = "ask"
_TRIES: Final = 5  # while the contact's cohort changes


@dataclass(frozen=True, slots=True)
class Asked:
    """A contact that somebody was asked about."""

    batch: Batch
    journey: str  # its name
    step: str
    contact: str
    delivery: Origin
    answered: Answer | None  # what counts already


async def asked_about(engine: Engine, key: DeliveryKey) -> Asked:
    """Whom a question was about. Raises `NotFound` for what was no question, and `Gone` where the contacts were
    deleted."""
    async with engine.pool.connection() as connection:
        batch = await batches.get(connection, key.batch)
        step, name = await _step(engine, connection, batch, key)
        named = await cohorts.arrival_files(connection, batch.id, step.id, key.visit)
    files = [file for _, file in named if may_hold(file, key.line)]
    contact = (await asyncio.to_thread(ids_at, engine, files, [key.line])).get(key.line)
    if contact is None:
        raise Gone("The contact has been deleted, as Caravan does with old data; nothing can be answered any more.")
    origin = Origin(batch.id, step.id, key.visit, key.line)
    async with engine.pool.connection() as connection:
        answered = await _answered(connection, batch.customer_id, contact, origin)
    return Asked(batch, name, step.id, contact, origin, answered)


async def _step(engine: Engine, connection: Connection, batch: Batch, key: DeliveryKey) -> tuple[Step, str]:
    if batch.version is None:
        raise NotFound("This batch has asked nothing.")
    journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
    step = journey.steps[key.step] if key.step < len(journey.steps) else None
    if step is None or step.kind != "ask":
        raise NotFound("This step asks nothing.")
    return step, journey.name


async def give_answer(engine: Engine, key: DeliveryKey, answer: Answer, given: Mapping[str, Any]) -> bool:
    """Answer for a contact, with properties that it gets; whether that is new, and not what was answered before.
    Durable when this returns. Raises `Conflict` where the contact was answered for otherwise, `Gone` where the time is
    over or the batch was recalled, and what `asked_about` does."""
    for _ in range(_TRIES):
        asked = await asked_about(engine, key)
        if asked.answered is not None:
            return _repeated(asked.answered, answer)
        cohort = await _cohort_of(engine, asked)
        if cohort is None:
            raise Gone(await _late(engine, asked))
        async with engine.pool.connection() as connection, connection.transaction():
            # In this order: whoever ends the time waits for those who take events, and looks at the cohort then.
            await listening.share(connection, asked.batch.customer_id)
            now = engine.clock.now()  # one moment for both: an answer that is taken must count
            if not await answers.stands(connection, cohort, now):
                continue  # it has just gone on: from being asked to standing, or for good
            event = Event(
                contact=asked.contact,
                name=answer.event,
                at=now,
                properties={ANSWER: dict(given)} if given else {},
                source=_SOURCE,
                key="/".join(map(str, (key.batch, key.step, key.visit, key.line))),
                origin=asked.delivery,
            )
            (new,) = await take_each(connection, asked.batch.customer_id, [event])
        if new:
            return True
    raise Unavailable("The contact is just moving; try again in some seconds.")


def _repeated(before: Answer, answer: Answer) -> bool:
    if before is not answer:
        raise Conflict(f"The contact was {before.event} before; the first answer counts, and nothing has changed.")
    return False


async def _answered(connection: Connection, customer: int, contact: str, origin: Origin) -> Answer | None:
    names = {each.event: each for each in Answer}
    found = await events.first_of_delivery(connection, customer, contact, sorted(names), astuple(origin))
    return None if found is None else names[found]


async def _cohort_of(engine: Engine, asked: Asked) -> int | None:
    """The cohort at the step in which the contact is asked about, or stands for the answer."""
    delivery, now = asked.delivery, engine.clock.now()
    async with engine.pool.connection() as connection:
        standing = await answers.cohorts_at(connection, delivery.batch, delivery.step, delivery.visit, now)
    for cohort, file in standing:
        if not may_hold(file, delivery.line):
            continue
        place = await asyncio.to_thread(_place_in, engine, file, delivery.line)
        if place is None:
            continue
        async with engine.pool.connection() as connection:
            if not await listening.departed_among(connection, {(cohort, place)}):
                return cohort
    return None


def _place_in(engine: Engine, file: str, line: int) -> int | None:
    """The contact's row in a cohort's file, from 0. Blocks."""
    try:
        with engine.files.local(file) as path:
            lines = pq.read_table(path, columns=["line"])["line"].to_numpy()
    except FileNotFoundError:  # forgotten meanwhile
        return None
    (places,) = (lines == line).nonzero()
    return int(places[0]) if places.size else None


async def why_late(engine: Engine, asked: Asked) -> str | None:
    """Why no answer can be taken any more; None where one can."""
    return None if await _cohort_of(engine, asked) is not None else await _late(engine, asked)


async def _late(engine: Engine, asked: Asked) -> str:
    async with engine.pool.connection() as connection:
        batch = await batches.get(connection, asked.batch.id)
    if batch.state == BatchState.CANCELLED:
        return "The batch was recalled; nothing has changed."
    return "The time for an answer is over, and the contact has gone on; nothing has changed."
