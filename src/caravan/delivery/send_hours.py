"""`send_window`: the hours in which a message step sends, as a journey file says it."""

import re
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from caravan.delivery.holidays import check_country
from caravan.delivery.hours import Hours
from caravan.delivery.zones import zone_names, zone_of
from caravan.errors import RenderFailed
from caravan.journeys.fields import LineTemplate
from caravan.journeys.model_part import DefinitionPart
from caravan.journeys.placeholders import ContactView, Template, compile_template
from caravan.journeys.wording import nearest
from caravan.steps.wait import parse_duration

_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)
_DAY = 24 * 60  # minutes
_LONGEST_SPREAD = timedelta(hours=12)


class Day(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_DAYS = list(Day)


class Otherwise(StrEnum):
    """What becomes of a message that may not be sent now."""

    WAIT = "wait"
    SKIP = "skip"


def _time(text: str) -> str:
    if not _TIME.fullmatch(text.strip()):
        raise ValueError(f"'{text[:40]}' is no time of day like 08:00; the last one is 24:00")
    return text.strip()


def _day(text: str) -> str:
    if text.strip().casefold() not in _DAYS:
        close = nearest(text[:20], [*Day]) or next((each for each in Day if text.casefold().startswith(each)), None)
        hint = f"; did you mean '{close}'?" if close else "."
        raise ValueError(f"'{text[:40]}' is no day{hint} The days are {', '.join(Day)}")
    return text.strip().casefold()


def _zone(text: str) -> str:
    fixed = compile_template(text).constant
    if fixed is not None and zone_of(fixed) is None:
        close = nearest(fixed[:40], zone_names())
        hint = f"; did you mean '{close}'?" if close else ""
        raise ValueError(f"'{fixed[:40]}' is no time zone like Europe/Stockholm or +05:30{hint}")
    return text


def _fixed_zone(text: str) -> str:
    if compile_template(text).constant is None:
        raise ValueError("this zone is the same for everyone, without placeholders, like Europe/Stockholm")
    return _zone(text)


def _country(text: str) -> str:
    if "{" in text:
        raise ValueError("the country is the same for everyone, without placeholders, like SE")
    return check_country(text)


def _spread(text: str) -> str:
    if parse_duration(text) > _LONGEST_SPREAD:
        raise ValueError(f"'{text}' is longer than 12 hours")
    return text


class SendWindow(DefinitionPart):
    """`from` and `to` are times of day by the contact's clock; without them a day is open as a whole."""

    begins: Annotated[str, AfterValidator(_time)] = Field("00:00", alias="from")
    ends: Annotated[str, AfterValidator(_time)] = Field("24:00", alias="to")
    timezone: Annotated[LineTemplate, AfterValidator(_zone)] = "UTC"
    default_timezone: Annotated[str, AfterValidator(_fixed_zone)] = "UTC"
    days: tuple[Annotated[str, AfterValidator(_day)], ...] = tuple(Day)
    holidays: Annotated[str, AfterValidator(_country)] | None = None
    otherwise: Otherwise = Otherwise.WAIT
    spread: Annotated[str, AfterValidator(_spread)] = "15 minutes"

    @model_validator(mode="after")
    def _sound(self) -> Self:
        said = self.model_fields_set
        if not said & {"begins", "ends", "days", "holidays"}:
            raise ValueError("this closes nothing; say from and to, days or holidays")
        if ("begins" in said) != ("ends" in said):
            raise ValueError('from and to come together, like from: "08:00" and to: "21:00"')
        if self.begins == "24:00" or _minutes(self.begins) == _minutes(self.ends):
            raise ValueError(
                f"from {self.begins} to {self.ends} is no part of a day; a whole one is from 00:00 to 24:00"
            )
        if not self.days:
            raise ValueError(f"days is empty, so nothing would ever be sent. The days are {', '.join(Day)}")
        return self

    @cached_property
    def hours(self) -> Hours:
        """The same, as what it means."""
        begins, ends = _minutes(self.begins), _minutes(self.ends)
        return Hours(
            begins=begins,
            ends=ends if ends > begins else ends + _DAY,
            days=frozenset(_DAYS.index(Day(each)) for each in self.days),
            holidays=self.holidays,
            default_zone=self.default_timezone,
            skips=self.otherwise is Otherwise.SKIP,
            spread=parse_duration(self.spread),
        )

    def zone_of(self, contact: ContactView) -> str:
        """What a contact's properties name as its zone; nothing where they can't be put in."""
        try:
            return self._zone.render(contact)
        except RenderFailed:
            return ""

    @cached_property
    def _zone(self) -> Template:
        return compile_template(self.timezone)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
