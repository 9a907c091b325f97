"""What the engine works with: composed once by bootstrap.py, passed to every function of this folder."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caravan.channels.registry import CHANNELS, STEP_TYPES
from caravan.clock import Clock
from caravan.delivery.channel_type import ChannelType
from caravan.delivery.gates import GATES, GateType
from caravan.journeys.definition import load_journey
from caravan.journeys.model import Journey, Step
from caravan.metrics import Metrics
from caravan.queue.jobs import Jobs
from caravan.settings import Settings
from caravan.store import journeys
from caravan.store.database import Connection, Pool
from caravan.store.files import Files

#: What else belongs into the transaction of an act, like its line in the audit log.
Note = Callable[[Connection], Awaitable[None]]
_KEPT = 256  # journeys in memory; a version never changes, so one that is there stays right


class Journeys:
    """Journey versions, compiled once in each process."""

    def __init__(self, types: Mapping[str, type[Step]] = STEP_TYPES) -> None:
        self.types = types  # that a definition can name
        self._known: dict[tuple[int, int, int], Journey] = {}
        self._thread = ThreadPoolExecutor(1, "journeys")

    async def get(self, connection: Connection, customer: int, journey: int, version: int) -> Journey:
        """One version of a customer's journey. Raises `NotFound`."""
        key = (customer, journey, version)
        known = self._known.pop(key, None)
        if known is None:
            found = await journeys.get_version(connection, customer, journey, version)
            # In a thread: a large one takes seconds, in which nothing else would be answered. Of its own: those that
            # all share may be waiting for a slow store, and the caller has a batch locked.
            loop = asyncio.get_running_loop()
            known = await loop.run_in_executor(self._thread, load_journey, found.definition, self.types)
        self._known[key] = known  # the last one is the one that was asked for last
        while len(self._known) > _KEPT:
            self._known.pop(next(iter(self._known)))
        return known


@dataclass(frozen=True, slots=True)
class Engine:
    """The database, the files, the clock, the queue, the journeys and the folders of one process."""

    settings: Settings
    pool: Pool
    files: Files
    clock: Clock
    jobs: Jobs
    journeys: Journeys
    scratch: Path  # of this process, for files half-written; made by the first function that writes there
    uploads: Path  # the same for files that clients are sending
    channels: Sequence[ChannelType[Any]] = CHANNELS
    gates: Sequence[GateType] = GATES
    metrics: Metrics = field(default_factory=Metrics)
