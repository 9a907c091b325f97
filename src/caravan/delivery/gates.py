"""Gates: what decides, before a window is sent, which of its deliveries go out.

A gate is asked about all deliveries of a window at once, so that it needs one query a window. It is asked once they
are written and the window is taken, and immediately before they go out. What it lets through may still not be sent: the
batch is paused, or the worker dies. Then it is asked again, so a gate keeps no count of what it let through unless it
can be wrong about it.

Where to add one: a file in this folder, and an entry in GATES.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from caravan.delivery.envelope import Envelope
from caravan.store.cohorts import Cohort
from caravan.store.database import Pool
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


GateType = Callable[[Pool], Gate]

#: The gates of every worker, in the order in which they are asked.
GATES: tuple[GateType, ...] = ()


async def decide(
    gates: Sequence[Gate], cohort: Cohort, channel: str, envelopes: Sequence[Envelope[Any]]
) -> list[Decision]:
    """What all gates together decide on each delivery: the first that does not let it through. Later gates are asked
    only about what is left."""
    decisions: list[Decision] = [SEND] * len(envelopes)
    for gate in gates:
        left = [index for index, decision in enumerate(decisions) if decision == SEND]
        if not left:
            break
        found = await gate.decide(cohort, channel, [envelopes[index] for index in left])
        for index, decision in zip(left, found, strict=True):
            decisions[index] = decision
    return decisions
