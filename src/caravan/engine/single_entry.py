"""Singles enter journeys, by a call or by a step of another journey: they are stored, and gathered soon."""

from collections.abc import Mapping

from caravan.engine.engine import Engine
from caravan.engine.single_reentry import admit_singles
from caravan.errors import CaravanError
from caravan.store import arrivals
from caravan.store.arrivals import Gathering, Place, Single
from caravan.store.database import Connection


async def enter_singles(
    engine: Engine, connection: Connection, singles: Mapping[int, Single]
) -> tuple[dict[Place, Gathering], dict[int, CaravanError]]:
    """Enter singles with the caller's commit: the batches that take them, and by their keys why some are refused. For a
    journey that is not published there is no batch."""
    found = await arrivals.add(connection, list(singles.values()), engine.clock.now())
    refused: dict[int, CaravanError] = {}
    for place, gathering in sorted(found.items()):
        if gathering.guarded:
            there = {key: single for key, single in singles.items() if single.place == place}
            refused |= await admit_singles(engine, connection, place, gathering, there)
        if not gathering.queued:
            await engine.jobs.gather(connection, gathering.batch)
    return found, refused
