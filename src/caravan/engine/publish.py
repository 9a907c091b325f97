"""Publishing a journey: check it whole, then add a version. Running batches keep the one they started with."""

import asyncio
from dataclasses import dataclass

from caravan.engine import entered_journeys
from caravan.engine.attachments import with_attachments
from caravan.engine.engine import Engine
from caravan.errors import InvalidDefinition, InvalidInput, Problem
from caravan.journeys.check import check_journey
from caravan.journeys.definition import as_dict
from caravan.journeys.document import is_json
from caravan.journeys.model import Journey
from caravan.store import journeys
from caravan.store.database import Connection


@dataclass(frozen=True, slots=True)
class Publication:
    """A version that was published, and what its author may not have meant."""

    journey: int
    name: str
    version: int
    warnings: list[Problem]


@dataclass(frozen=True, slots=True)
class Draft:
    """A definition that has been checked whole and can be published."""

    source: str
    journey: Journey
    warnings: list[Problem]


async def read_draft(engine: Engine, customer: int, source: str, expected: int | None = None) -> Draft:
    """Check a definition file, and fetch what its mails bring along. Raises `InvalidDefinition`, and `InvalidInput` if
    it is not journey `expected`."""
    check = await asyncio.to_thread(check_journey, source, engine.journeys.types)  # a large one takes seconds
    journey = check.journey
    if journey is None:
        raise InvalidDefinition(check.problems, check.warnings)
    if expected is not None and journey.journey != expected:
        raise InvalidInput(f"The definition says journey {journey.journey}, but the address says {expected}.")
    async with engine.pool.connection() as connection:
        await _check_entered(engine, connection, customer, Draft(source, journey, check.warnings))
    return Draft(source, await with_attachments(engine, customer, source, journey), check.warnings)


async def publish(
    engine: Engine, customer: int, source: str, expected: int | None = None, *, base: int | None = None
) -> Publication:
    """Publish a definition file. Raises as `read_draft` and `publish_draft` do."""
    draft = await read_draft(engine, customer, source, expected)
    async with engine.pool.connection() as connection:
        return await publish_draft(engine, connection, customer, draft, base)


async def publish_draft(
    engine: Engine, connection: Connection, customer: int, draft: Draft, base: int | None = None
) -> Publication:
    """Publish a draft in the caller's transaction. `base` is the version that its author began with, 0 for a journey
    that was new; raises `Conflict` if another one is the newest by now."""
    journey = draft.journey
    if any(step.enters is not None for step in journey.steps):
        await journeys.publish_alone(connection, customer)
        await _check_entered(engine, connection, customer, draft)
    version = await journeys.publish(
        connection,
        customer,
        journey.journey,
        journey.name,
        as_dict(journey),
        source=draft.source,
        plain=is_json(draft.source),
        now=engine.clock.now(),
        base=base,
    )
    return Publication(journey.journey, journey.name, version, draft.warnings)


async def _check_entered(engine: Engine, connection: Connection, customer: int, draft: Draft) -> None:
    """Raise `InvalidDefinition` for what is wrong with the journeys that it lets its contacts enter."""
    problems = await entered_journeys.problems_of(engine, connection, customer, draft.journey, draft.source)
    if problems:
        raise InvalidDefinition(problems, draft.warnings)
