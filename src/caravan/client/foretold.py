"""What a batch that is held for review would do, as the API answers it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from caravan.client.answers import Raw


@dataclass(frozen=True, slots=True)
class Branch:
    """How many contacts go from a split or an A/B step to the step `to`; None is the end of the journey."""

    step: str
    to: str | None
    contacts: int


@dataclass(frozen=True, slots=True)
class Exit:
    """How many contacts leave the journey at a step, by a condition of its `goal` or `exit_when`: with the outcome
    `goal` or `exited`, and the `rule` in words."""

    step: str
    outcome: str
    rule: str
    contacts: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One message as its reader would see it; None for what its channel does not have."""

    contact: str
    to: str
    subject: str | None
    text: str | None
    html: str | None


@dataclass(frozen=True, slots=True)
class StepMessages:
    """What would come of the messages of a step: contacts without a usable recipient, and for how many contacts which
    placeholder comes out empty. Counted over `looked` contacts; None: over all."""

    step: str
    no_recipient: int
    missing: Mapping[str, int]
    samples: tuple[Sample, ...]
    looked: int | None
    segments: Mapping[str, Any] | None = None  # of text messages: total, most, encodings, because
    hours: Mapping[str, Any] | None = None  # of steps with hours: closed, noZone, otherwise

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        names = ("contact", "to", "subject", "text", "html")
        samples = tuple(Sample(*(each.get(name) for name in names)) for each in raw["samples"])
        more = (raw.get(name) for name in ("looked", "segments", "hours"))
        return cls(raw["step"], raw["noRecipient"], raw["missing"], samples, *more)


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was read of a batch that is held, and what it would do if it were resumed now."""

    accepted: int
    rejected: Mapping[str, int]
    branches: tuple[Branch, ...]
    messages: tuple[StepMessages, ...]
    exits: tuple[Exit, ...]
    raw: Raw = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """From its JSON object."""
        branches = tuple(Branch(each["step"], each["to"], each["contacts"]) for each in raw["branches"])
        messages = tuple(map(StepMessages.of, raw["messages"]))
        exits = tuple(
            Exit(each["step"], each["outcome"], each["rule"], each["contacts"]) for each in raw.get("exits", ())
        )
        return cls(raw["accepted"], raw["rejected"], branches, messages, exits, raw)
