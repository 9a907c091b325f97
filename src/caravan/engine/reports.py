"""The way in of events by API and command: durable before the answer. Events that are reported one by one, but
together, share a transaction (groups.py)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from caravan.engine.engine import Engine
from caravan.engine.groups import Groups
from caravan.events.event import Event
from caravan.events.reading import Reading, read_event, read_events
from caravan.events.take import Taken, take, take_each
from caravan.queue import transient
from caravan.store.database import Connection


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a list of events."""

    taken: Taken
    reading: Reading


@dataclass(frozen=True, slots=True)
class _Report:
    customer: int
    event: Event


class Reporter:
    """Takes events that come one a call, in one process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._groups = Groups[_Report, bool](self._take, transient.is_transient)

    async def report(self, customer: int, body: bytes) -> Taken:
        """Take the event whose JSON object `body` is: durable when this returns. Raises `InvalidInput`."""
        event = read_event(body, self._engine.settings.max_row_bytes, self._engine.clock.now())
        fresh = await self._groups.ask(_Report(customer, event))
        return Taken(int(fresh), int(not fresh))

    async def _take(self, reports: Sequence[_Report]) -> Sequence[bool | Exception]:
        fresh = dict[int, bool]()
        async with self._engine.pool.connection() as connection:
            for customer in sorted({each.customer for each in reports}):
                places = [index for index, each in enumerate(reports) if each.customer == customer]
                found = await take_each(connection, customer, [reports[index].event for index in places])
                fresh |= dict(zip(places, found, strict=True))
        return [fresh[index] for index in range(len(reports))]


async def read_list(engine: Engine, body: bytes) -> Reading:
    """The events of a body with one on each line. Raises `TooLarge`."""
    return await asyncio.to_thread(read_events, body, engine.settings.max_row_bytes, engine.clock.now())


async def report_list(connection: Connection, customer: int, reading: Reading) -> Reported:
    """Take all events of a list in the caller's transaction."""
    return Reported(await take(connection, customer, reading.events), reading)
