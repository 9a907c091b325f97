"""Publishing a journey: check it whole, then add a version. Running batches keep the one they started with."""

import asyncio
from dataclasses import dataclass

from caravan.engine.engine import Engine
from caravan.errors import InvalidDefinition, InvalidInput, Problem
from caravan.journeys.check import check_journey
from caravan.journeys.definition import as_dict
from caravan.journeys.document import is_json
from caravan.store import journeys


@dataclass(frozen=True, slots=True)
class Publication:
    """A version that was published, and what its author may not have meant."""

    journey: int
    name: str
    version: int
    warnings: list[Problem]


async def publish(engine: Engine, customer: int, source: str, expected: int | None = None) -> Publication:
    """Publish a definition file. Raises `InvalidDefinition`, and `InvalidInput` if it is not journey `expected`."""
    check = await asyncio.to_thread(check_journey, source, engine.journeys.types)  # a large one takes seconds
    journey = check.journey
    if journey is None:
        raise InvalidDefinition(check.problems, check.warnings)
    if expected is not None and journey.journey != expected:
        raise InvalidInput(f"The definition says journey {journey.journey}, but the address says {expected}.")
    async with engine.pool.connection() as connection:
        version = await journeys.publish(
            connection,
            customer,
            journey.journey,
            journey.name,
            as_dict(journey),
            source=source,
            plain=is_json(source),
            now=engine.clock.now(),
        )
    return Publication(journey.journey, journey.name, version, check.warnings)
