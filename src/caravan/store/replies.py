"""What the other side of the channels has said of late, as far as PostgreSQL holds it."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from caravan.store import sql
from caravan.store.database import Connection, rows
from caravan.store.journal import read_record

_Q = sql.load("caravan.store", "replies.sql")
_BATCHES = 200  # that are looked at, the newest
_REASONS = 50
_WINDOWS = 20


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """So many contacts left a step of a batch with this outcome."""

    journey: int
    version: int
    batch: str
    step: str
    outcome: str
    contacts: int


@dataclass(frozen=True, slots=True)
class HeldBack:
    """So many contacts are still at a step, for this reason."""

    journey: int
    version: int
    step: str
    reason: str
    contacts: int
    due_at: datetime  # of the first of them


@dataclass(frozen=True, slots=True)
class SettledWindow:
    """A window whose replies are known and whose cohort has not moved yet."""

    journey: int
    version: int
    step: str
    record: pa.Table


@dataclass(frozen=True, slots=True)
class Heard:
    """When a channel's other side was last reached, and could last not be; None: never."""

    reached: datetime | None = None
    unreachable: datetime | None = None


async def outcomes(connection: Connection, customer: int, since: datetime) -> list[StepOutcome]:
    """How contacts left the steps of a customer's newest batches, of those that ran since that moment."""
    found = await rows(connection, _Q.outcomes, customer=customer, since=since, batches=_BATCHES)
    return [StepOutcome(**each) for each in found]


async def held_back(connection: Connection, customer: int) -> list[HeldBack]:
    """Why a customer's contacts are still at their steps, the most frequent reasons first."""
    return [HeldBack(**each) for each in await rows(connection, _Q.held, customer=customer, most=_REASONS)]


async def under_way(connection: Connection, customer: int) -> list[SettledWindow]:
    """The newest windows of a customer that are settled, of cohorts that have not moved yet."""
    found = await rows(connection, _Q.under_way, customer=customer, most=_WINDOWS)
    return [SettledWindow(**{**each, "record": read_record(each["record"], None)}) for each in found]


async def last_heard(connection: Connection) -> dict[str, Heard]:
    """When each channel's other side was last reached, by all processes: {channel: moments}."""
    found = await rows(connection, _Q.last_heard)
    return {each["channel"]: Heard(_moment(each["reached"]), _moment(each["unreachable"])) for each in found}


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
