"""What a step does to a cohort, as a value: the engine commits it in one transaction (guarantee 2)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from caravan.clock import Clock
from caravan.journeys import exits
from caravan.journeys.exits import Exits
from caravan.metrics import Metrics
from caravan.store.arrivals import Single
from caravan.store.cohorts import Part
from caravan.store.crossings import Target
from caravan.store.database import Pool
from caravan.store.files import Files
from caravan.store.journal import Record
from caravan.store.ledger import Outcome


@dataclass(frozen=True, slots=True)
class Passage:
    """Contacts that leave the step for the step `to`; None ends their journey."""

    part: Part
    to: str | None


@dataclass(frozen=True, slots=True)
class Retry:
    """Contacts that stay at the step because an attempt failed, and are tried again at `due_at`. It counts as an
    attempt."""

    part: Part
    due_at: datetime
    reason: str
    doubt: bool = False  # an earlier try may have reached any of them


@dataclass(frozen=True, slots=True)
class Standing:
    """Contacts that stay at the step until a time, or until an event. It counts as no attempt."""

    part: Part
    until: datetime | None  # None: only an event ends it
    reason: str
    doubt: bool = False  # an earlier try may have reached any of them


@dataclass(frozen=True, slots=True)
class Asked:
    """Contacts that stay at the step until they are answered for, or the time for that is over."""

    part: Part
    until: datetime
    doubt: bool = False  # whether the question arrived is not known


@dataclass(frozen=True, slots=True)
class Share:
    """Contacts that stay as they are, in a cohort of their own."""

    part: Part
    provider: str | None = None  # that all of them have
    sorted_for: str | None = None  # the providers whose contacts are in cohorts of their own, with commas between


@dataclass(frozen=True, slots=True)
class Entering:
    """Contacts that enter another journey with the move: everyone of the cohort, until it is known who may."""

    journey: int
    target: Target | None = None
    part: Part | None = None  # those who enter, in a file of that batch
    singles: Mapping[int, Single] = field(default_factory=dict)  # the same by place, if the journey has to be asked


@dataclass(frozen=True, slots=True)
class Move:
    """A cohort's way on. The sum of `outcomes` plus the contacts that stay is the cohort's size, or else that of
    `shares`."""

    passages: list[Passage]
    outcomes: Mapping[Outcome, int]
    records: list[Record]
    retries: list[Retry] = field(default_factory=list)
    standing: list[Standing] = field(default_factory=list)
    dead: Part | None = None  # those who failed, to be sent to once more on command
    checked: Sequence[Part] = ()  # those stay who have just come, and whom no condition of the journey lets go
    asked: Sequence[Asked] = ()  # those stay who have been asked something
    entering: Entering | None = None  # those who also enter another journey
    shares: Sequence[Share] = ()  # the whole cohort stays, as if it had come as several


@dataclass(frozen=True, slots=True)
class Tools:
    """What all steps of one worker work with."""

    pool: Pool
    files: Files
    scratch: Path  # of this process: files that are about to go into the store
    clock: Clock
    duck: duckdb.DuckDBPyConnection
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: Metrics = field(default_factory=Metrics)
    exits: Exits = exits.NEVER  # of the journey of the cohort that is moved
