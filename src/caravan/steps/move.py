"""What a step does to a cohort, as a value: the engine commits it in one transaction (law 2)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from caravan.channels.channel import Channel
from caravan.channels.mail import Mail
from caravan.channels.webhook import Call
from caravan.clock import Clock
from caravan.metrics import Metrics
from caravan.store.cohorts import Part
from caravan.store.database import Pool
from caravan.store.files import Files
from caravan.store.ledger import Outcome, Record


@dataclass(frozen=True, slots=True)
class Passage:
    """Contacts that leave the step for the step `to`; None ends their journey."""

    part: Part
    to: str | None


@dataclass(frozen=True, slots=True)
class Retry:
    """Contacts that stay at the step and are tried again at `due_at`."""

    part: Part
    due_at: datetime
    reason: str
    doubt: bool = False  # an earlier try may have reached any of them


@dataclass(frozen=True, slots=True)
class Move:
    """A cohort's way on. The sum of `outcomes` plus those who stay is the cohort's size, or else that of `shares`."""

    passages: list[Passage]
    outcomes: Mapping[Outcome, int]
    records: list[Record]
    retries: list[Retry] = field(default_factory=list)
    shares: Sequence[Part] = ()  # the whole cohort stays, as if it had come as several


@dataclass(frozen=True, slots=True)
class Pacing:
    """How many contacts are in hand at once, and how long temporary failures are tried again."""

    window_size: int
    retry_delay: float  # seconds until the first retry; doubles
    retry_hours: float
    lease: float = 1.0  # seconds for which a sender may send after it was last told that it may: a halt takes no longer
    share_windows: int = 10  # a large cohort is cut into shares of so many windows at least


@dataclass(frozen=True, slots=True)
class Tools:
    """What the steps of one worker work with."""

    pool: Pool
    files: Files
    scratch: Path  # of this process: files that are about to go into the store
    traces: Path  # of this machine: traces of sends under way
    clock: Clock
    duck: duckdb.DuckDBPyConnection
    email: Channel[Mail]
    webhook: Channel[Call]
    pacing: Pacing
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: Metrics = field(default_factory=Metrics)
