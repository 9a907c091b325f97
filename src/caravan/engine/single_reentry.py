"""Who may not enter a journey again by the single starter: the call is refused, and nothing is stored."""

from collections.abc import Mapping
from datetime import UTC

from caravan.engine.engine import Engine
from caravan.engine.reentry import entrance, inside, sentence
from caravan.errors import CaravanError, Conflict
from caravan.journeys.reentry import Reentry
from caravan.store import arrivals, entries
from caravan.store.arrivals import Gathering, Place, Single
from caravan.store.database import Connection
from caravan.store.entries import Entrance, hashed


async def admit_singles(
    engine: Engine, connection: Connection, place: Place, gathering: Gathering, singles: Mapping[int, Single]
) -> dict[int, CaravanError]:
    """Store those of these singles that may enter, in the caller's transaction; why the others may not, by their
    keys."""
    refused = await refusals(engine, connection, place, gathering.batch, gathering.version, singles)
    entering = [each for key, each in singles.items() if key not in refused]
    await arrivals.add_admitted(connection, gathering.batch, entering)
    return refused


async def refusals(
    engine: Engine, connection: Connection, place: Place, batch: str, version: int, singles: Mapping[int, Single]
) -> dict[int, CaravanError]:
    """Note that those of these singles enter that may, in the caller's transaction; why the others may not, by their
    keys. Of two with one contact the first is let in."""
    journey = await engine.journeys.get(connection, *place, version)
    into = entrance(journey.reentry, *place, batch, engine.clock.now())
    first: dict[str, int] = {}
    for key, single in singles.items():
        first.setdefault(hashed(single.contact), key)
    left = await _left(engine, connection, into, list(first)) if into.outside else {}
    admitted = await entries.enter_singles(connection, into, list(first), left)
    entering = {first[contact] for contact in admitted}
    refused = {key: each for key, each in singles.items() if key not in entering}
    return await _reasons(connection, into, journey.reentry, refused)


async def _left(engine: Engine, connection: Connection, into: Entrance, contacts: list[str]) -> dict[str, str]:
    """Those who entered by a batch that has not ended and have left the journey all the same, with that batch."""
    earlier = [each for each in (await entries.found(connection, into, contacts)).values() if each.runs]
    left: dict[str, str] = {}
    for batch in {each.batch for each in earlier}:
        some = {each.contact for each in earlier if each.batch == batch}
        left |= dict.fromkeys(some - await inside(engine, connection, batch, some), batch)
    return left


async def _reasons(
    connection: Connection, into: Entrance, rule: Reentry, refused: Mapping[int, Single]
) -> dict[int, CaravanError]:
    if not refused:
        return {}
    earlier = await entries.found(connection, into, [hashed(each.contact) for each in refused.values()])
    told: dict[int, CaravanError] = {}
    for key, single in refused.items():
        found = earlier[hashed(single.contact)]
        at = f"{found.entered_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        told[key] = Conflict(f"reentry_refused: {sentence(single.contact, found.batch, at, rule)}")
    return told
