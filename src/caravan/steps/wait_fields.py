"""What stands below `wait`: a duration, or the rule for a moment."""

from collections.abc import Iterator
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, model_validator

from caravan.journeys.durations import Duration, read_duration, read_offset
from caravan.journeys.fields import LineTemplate
from caravan.journeys.model_part import DefinitionPart
from caravan.journeys.placeholders import compile_template
from caravan.journeys.placeholders.dates import is_zone, read_date, zones
from caravan.steps.moments import Rule, read_clock

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Else(StrEnum):
    """What contacts do whose moment is past, or who have none."""

    CONTINUE = "continue"
    EXIT = "exit"
    NEXT = "next"


def _day(value: Any) -> Any:
    word = str(value).strip().lower()
    if word in _LONG:
        return DAYS[_LONG.index(word)]
    if word not in DAYS:
        raise ValueError(f"'{value}' is no day; there are {', '.join(DAYS)}")
    return word


def _longer_than_nothing(value: str) -> str:
    if not read_duration(value):
        raise ValueError("a timeout is longer than nothing")
    return value


Timeout = Annotated[str, AfterValidator(_longer_than_nothing)]


def _offset(text: str) -> str:
    read_offset(text)
    return text


def _choice(*good: Else) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value not in tuple(good):
            raise ValueError(f"'{value}' is none of {', '.join(good)}")
        return Else(value)

    return BeforeValidator(check)


class Until(DefinitionPart):
    """The moment of each contact. `plain`: nothing but a duration, so that everyone stands for as long."""

    until: LineTemplate | None = None
    offset: Annotated[str, AfterValidator(_offset)] | None = None
    at: LineTemplate | None = None
    timezone: LineTemplate = "UTC"
    days: tuple[Annotated[str, BeforeValidator(_day)], ...] | None = None
    if_past: Annotated[Else, _choice(Else.CONTINUE, Else.EXIT, Else.NEXT)] = Else.CONTINUE
    invalid: Annotated[Else, _choice(Else.CONTINUE, Else.EXIT)] = Else.CONTINUE

    @model_validator(mode="before")
    @classmethod
    def _from_duration(cls, value: Any) -> Any:
        if isinstance(value, str):
            read_duration(value)
            return {"offset": value}
        if not isinstance(value, dict):
            raise ValueError("a wait is a duration like 3 days, or {until: …}")
        return value

    @cached_property
    def duration(self) -> Duration:
        """How much later than the date the moment is."""
        return read_offset(self.offset) if self.offset is not None else Duration()

    @property
    def plain(self) -> bool:
        return self.until is None and self.at is None and self.days is None

    @property
    def shared(self) -> bool:
        """Whether all who arrive together have the same moment."""
        fixed = all(compile_template(each).constant is not None for each in (self.timezone, self.at or ""))
        return not self.plain and self.until is None and fixed

    @property
    def exits(self) -> bool:
        """Whether a contact may leave the journey here."""
        return Else.EXIT in (self.if_past, self.invalid)

    @property
    def takes_time(self) -> bool:
        """Whether each contact that comes here again stands for a while, or leaves the journey."""
        if self.plain:
            return bool(self.duration)
        passes = self.until is not None and self.if_past is Else.CONTINUE
        return not passes and (self.shared or self.invalid is Else.EXIT)

    @property
    def rule(self) -> Rule:
        days = tuple(each in self.days for each in DAYS) if self.days else (True,) * 7
        from_arrival = self.until is None
        return Rule(self.duration, days, from_arrival or self.if_past is Else.NEXT, from_arrival)

    @property
    def summary(self) -> str:
        """In one line what contacts wait for."""
        if self.plain:
            return self.offset or ""
        if self.until is None:
            parts = ["until", f"{self.offset} later" if self.offset else "", "the next" if not self.offset else ""]
            parts.append(", ".join(self.days) if self.days else "day" if not self.offset else "")
        else:
            before = self.duration.negative
            words = (self.offset or "").lstrip("+- ")
            parts = ["until", f"{words} {'before' if before else 'after'}" if words else "", self.until]
            parts.append(f"on {', '.join(self.days)}" if self.days else "")
        parts.append(f"at {self.at}" if self.at else "")
        return " ".join(filter(None, parts))

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is wrong with them together: (key, message)."""
        if self.plain and self.offset is None:
            yield "", "a wait needs a duration, until, at or days"
        if self.until is None:
            if self.duration.negative:
                yield "offset", "without until, contacts wait from their arrival on, so the offset can't lie before"
            if "if_past" in self.model_fields_set:
                yield "if_past", "without until, the moment is never past"
        if self.days is not None and not self.days:
            yield "days", "no day is left"
        yield from self._fixed_problems()

    def _fixed_problems(self) -> Iterator[tuple[str, str]]:
        """What is wrong with texts that are the same for everyone."""
        zone, at = compile_template(self.timezone).constant, compile_template(self.at or "").constant
        if zone is not None and not is_zone(zone.strip()):
            close = get_close_matches(zone.strip(), zones(), 1)
            hint = f"; did you mean {close[0]}?" if close else " like Europe/Oslo"
            yield "timezone", f"'{zone}' is no time zone{hint}"
        if self.at is not None and at is not None and read_clock(at) is None:
            yield "at", f"'{at}' is no time like 09:00"
        date = compile_template(self.until or "").constant
        if self.until is not None and date is not None and not _is_date(date):
            yield "until", f"'{date}' is no date like 2026-01-31, and no placeholder like {{{{ renewal }}}}"


def _is_date(text: str) -> bool:
    return text.strip().lower() in ("now", "today") or read_date(text) is not None
