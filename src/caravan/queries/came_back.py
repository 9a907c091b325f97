"""What came back to the messages of a batch: opened, clicked, bounced, replied, …, counted by step; opened and clicked
by who it was, and bounced by whether it was hard, too."""

from collections import defaultdict
from dataclasses import dataclass

from caravan.store import events, hits, returns
from caravan.store.database import Connection


@dataclass(frozen=True, slots=True)
class CameBack:
    """So many events of one name answered the deliveries of a step; where they are judged, by verdict."""

    step: str
    event: str
    events: int
    verdicts: dict[str, int]  # human, machine, unknown; or hard, soft


async def came_back(connection: Connection, batch: str) -> dict[str, dict[str, int]]:
    """How many events answered the deliveries of a batch: {step: {event: count}}, of steps to which any did."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for each in await events.came_back(connection, batch):
        found[each.step][each.event] = each.events
    return dict(found)


async def came_back_by_verdict(connection: Connection, batch: str) -> list[CameBack]:
    """The same, with the verdicts on what was opened, clicked and bounced; by step and event."""
    judged: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for each in await hits.verdicts(connection, batch):
        judged[each.step, each.event][each.verdict] = each.events
    for (step, hard), bounces in (await returns.bounces(connection, batch)).items():
        judged[step, "bounced"]["hard" if hard else "soft"] = bounces
    counted = await came_back(connection, batch)
    return [
        CameBack(step, event, count, judged.get((step, event), {}))
        for step, found in sorted(counted.items())
        for event, count in sorted(found.items())
    ]
