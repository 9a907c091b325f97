"""What a gate is, and what it can decide on a delivery."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from caravan.delivery.envelope import Envelope
from caravan.store.cohorts import Cohort
from caravan.store.ledger import Outcome


@dataclass(frozen=True, slots=True)
class Send:
    """It goes out."""


@dataclass(frozen=True, slots=True)
class Skip:
    """It is not sent. The contact leaves the step with this outcome, and goes on."""

    outcome: Outcome
    reason: str  # one line for the journal

    def __post_init__(self) -> None:
        if self.outcome in (Outcome.SENT, Outcome.CANCELLED):
            raise ValueError(f"what a gate skips goes on and was not sent; its outcome can't be {self.outcome}")


@dataclass(frozen=True, slots=True)
class Later:
    """It is not sent now. The contact stands at the step until that time, or until an event; then it is asked again."""

    until: datetime | None
    reason: str  # one line that says what it waits for


Decision = Send | Skip | Later
SEND = Send()


class Gate(Protocol):
    """One reason for which deliveries may not go out."""

    async def decide(self, cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]) -> Sequence[Decision]:
        """A decision for each delivery, in their order. `channel` is the channel's name. What it raises holds up the
        cohort like any failure of its work; nothing of the window is sent then."""
        ...
