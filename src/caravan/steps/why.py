"""Why a contact took the way that it took, as values."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Looked:
    """A property that a condition looked at."""

    path: tuple[str, ...]  # () is the contact's id
    text: str | None  # as it came; None if it is missing or null
    kind: str  # number, time, truth or text
    read: Any  # its value as `kind`; None also if it can't be read so


@dataclass(frozen=True, slots=True)
class Tried:
    """A condition, and what it was for the contact."""

    condition: str
    to: str
    true: bool
    looked: list[Looked]


@dataclass(frozen=True, slots=True)
class Why:
    """How a step chose. `decided` counts the conditions or arms from 0; None where no condition was true."""

    decided: int | None
    to: str | None  # None: the journey's end
    conditions: list[Tried] = field(default_factory=list)
    arms: list[tuple[Decimal, str]] = field(default_factory=list)  # (weight, step)
    share: float | None = None  # of an A/B step: where from 0 to 1 the contact's hash stands among the arms
