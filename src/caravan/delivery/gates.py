"""Gates: what decides, before a window is sent, which of its deliveries go out.

A gate is asked about all deliveries of a window at once, so that it needs one query a window. It is asked once they
are written and the window is taken, and immediately before they go out. What it lets through may still not be sent: the
batch is paused, or the worker dies. Then it is asked again, so a gate keeps no count of what it let through unless it
can be wrong about it, or takes it back (cap.py).

Where to add one: a file in this folder, and an entry in GATES.
"""

from collections.abc import Callable, Sequence
from typing import Any

from caravan.clock import Clock
from caravan.delivery.cap import CapGate
from caravan.delivery.decisions import SEND, Decision, Gate, Later, Send, Skip
from caravan.delivery.envelope import Envelope
from caravan.delivery.gone import GoneGate
from caravan.delivery.quiet_hours import QuietHoursGate
from caravan.delivery.suppression import SuppressionGate
from caravan.delivery.threads import ThreadGate
from caravan.store.cohorts import Cohort
from caravan.store.database import Pool

__all__ = ["GATES", "SEND", "Decision", "Gate", "GateType", "Later", "Send", "Skip", "decide"]

GateType = Callable[[Pool, Clock], Gate]

#: The gates of every worker, in the order in which they are asked: the cap counts what those before it let through, and
#: the last one notes what goes out.
GATES: tuple[GateType, ...] = (SuppressionGate, GoneGate, QuietHoursGate, CapGate, ThreadGate)


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
