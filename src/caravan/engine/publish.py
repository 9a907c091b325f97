"""Publishing a journey: check it whole, then add a version. Running batches keep the one they started with."""

import asyncio

from caravan.engine.engine import Engine
from caravan.errors import InvalidInput
from caravan.journeys.definition import as_dict, read_journey
from caravan.store import journeys
from caravan.store.journeys import Published


async def publish(engine: Engine, customer: int, source: str, expected: int | None = None) -> Published:
    """Publish a definition file. Raises `InvalidDefinition`, and `InvalidInput` if it is not journey `expected`."""
    journey = await asyncio.to_thread(read_journey, source, engine.journeys.types)  # a large one takes seconds
    if expected is not None and journey.journey != expected:
        raise InvalidInput(f"The definition says journey {journey.journey}, but the address says {expected}.")
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        version = await journeys.publish(connection, customer, journey.journey, journey.name, as_dict(journey), now)
    return Published(journey.journey, version, journey.name, now)
