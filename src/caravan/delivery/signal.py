"""What a reply asks of whoever sends to that place, beyond the one message that it is about."""

from dataclasses import dataclass
from enum import StrEnum


class Act(StrEnum):
    """What is done."""

    SLOW = "slow"  # send more slowly for a time
    STOP = "stop"  # send nothing for a time, then try


@dataclass(frozen=True, slots=True)
class Signal:
    """One rule's wish."""

    act: Act
    name: str  # of the rule, by which its replies are counted
    seconds: float  # for which it holds
    after: int = 1  # so many replies within an hour
    whole_relay: bool = False  # not only what goes to the provider
    rate: float | None = None  # deliveries a second, to slow down to
    connections: int | None = None  # that carry mails there at one time, to slow down to
    reason: str = ""  # the reply, for people


@dataclass(frozen=True, slots=True)
class Heard:
    """By which way a message went, and what was learnt of it."""

    relay: str
    provider: str | None = None
    signal: Signal | None = None
