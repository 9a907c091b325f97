"""What message steps work with beyond the tools of all steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caravan.delivery.channel import Channel
from caravan.delivery.decisions import Gate
from caravan.delivery.pacer import Pacer
from caravan.steps.move import Tools


@dataclass(frozen=True, slots=True)
class Pacing:
    """How many deliveries are in flight at once, and how long temporary failures are retried."""

    window_size: int
    retry_delay: float  # seconds until the first retry; doubles
    retry_hours: float
    lease: float = 1.0  # seconds for which a sender may send after it was last told that it may: a halt takes no longer
    share_windows: int = 10  # a large cohort is cut into shares of so many windows at least


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTools(Tools):
    """The tools of a worker that sends."""

    traces: Path  # of this machine: traces of sends under way
    channels: Mapping[str, Channel[Any]]  # open, each under the word that journey files have for its step
    pacing: Pacing
    pacer: Pacer
    gates: Sequence[Gate] = ()
    public_url: str | None = None  # where recipients reach this installation
