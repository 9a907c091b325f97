"""The form in which a pace is written, and what its fields mean."""

import re
from dataclasses import dataclass

from caravan.engine.engine import Engine
from caravan.engine.paces import ramp_from_today
from caravan.errors import InvalidInput
from caravan.store.paces import Limits, Pace, Ramp

_WHOLE, _NUMBER = re.compile(r"[0-9]{1,13}"), re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_SHOWN = 40  # characters of a field in a sentence about it


@dataclass(frozen=True, slots=True)
class PaceForm:
    """The fields as they are written; an empty one is no limit."""

    per_second: str = ""
    per_day: str = ""
    ramp_first: str = ""
    ramp_factor: str = ""

    @classmethod
    def of(cls, pace: Pace | None) -> "PaceForm":
        """The form of a pace as it is now."""
        if pace is None:
            return cls()
        limits, ramp = pace.limits, pace.limits.ramp
        return cls(
            "" if limits.per_second is None else _plain(limits.per_second),
            "" if limits.per_day is None else str(limits.per_day),
            "" if ramp is None else str(ramp.first),
            "" if ramp is None else _plain(ramp.factor),
        )

    def limits(self, engine: Engine, before: Pace | None) -> Limits:
        """What the fields say. A warm-up that `before` has too goes on; another one begins today. Raises
        `InvalidInput`."""
        rate = _number("Messages a second", self.per_second)
        day = _whole("Messages a day", self.per_day)
        first = _whole("Messages on the first day", self.ramp_first)
        factor = _number("Times more each day", self.ramp_factor)
        if first is None and factor is not None:
            raise InvalidInput("A warm-up needs the number of messages on its first day.")
        return Limits(rate, day, None if first is None else _ramp(engine, first, factor or 2.0, before))


def _ramp(engine: Engine, first: int, factor: float, before: Pace | None) -> Ramp:
    now = None if before is None else before.limits.ramp
    if now is not None and (now.first, _plain(now.factor)) == (first, _plain(factor)):
        return now
    return ramp_from_today(engine, first, factor)


def _number(name: str, text: str) -> float | None:
    if text and _NUMBER.fullmatch(text) is None:
        raise InvalidInput(f"{name} is a number like 200 or 0.5; “{_shown(text)}” is none.")
    return float(text) if text else None


def _whole(name: str, text: str) -> int | None:
    if text and _WHOLE.fullmatch(text) is None:
        raise InvalidInput(f"{name} is a whole number like 100000; “{_shown(text)}” is none.")
    return int(text) if text else None


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _plain(number: float) -> str:
    """A number as one writes it, which `_number` reads."""
    return f"{number:.9f}".rstrip("0").rstrip(".")
