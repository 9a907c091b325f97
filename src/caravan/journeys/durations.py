"""Durations as people write them, with months and years, which have no fixed length."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

LONGEST: Final = timedelta(days=3_653)  # ten years
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600}
_DAYS: Final = {"d": 1, "w": 7}
_MONTHS: Final = {"mo": 1, "y": 12}
_PLAIN = re.compile(
    r"([0-9]{1,12})\s*(?:(s|sec|secs|seconds?)|(m|min|mins|minutes?)|(h|hours?)|(d|days?)|(w|weeks?)|(months?)|(y|years?))"
    r"(?![a-z])\s*",
    re.IGNORECASE,
)
_UNITS: Final = ("s", "m", "h", "d", "w", "mo", "y")  # in the order of the groups
# ISO 8601-1 §5.5.2.
_ISO = re.compile(
    r"P(?=.)(?:([0-9]{1,12})Y)?(?:([0-9]{1,12})M)?(?:([0-9]{1,12})W)?(?:([0-9]{1,12})D)?"
    r"(?:T(?=.)(?:([0-9]{1,12})H)?(?:([0-9]{1,12})M)?(?:([0-9]{1,12})S)?)?"
)


@dataclass(frozen=True, slots=True)
class Duration:
    """Months, then days, then seconds; all of them negative for a time before."""

    months: int = 0
    days: int = 0
    seconds: int = 0

    def __neg__(self) -> "Duration":
        return Duration(-self.months, -self.days, -self.seconds)

    def __bool__(self) -> bool:
        return bool(self.months or self.days or self.seconds)

    def __str__(self) -> str:
        """Like `1 month 2 days`, as `read_duration` takes it; for what is not negative."""
        parts = ((self.months, "month"), (self.days, "day"), (self.seconds, "second"))
        written = (f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count)
        return " ".join(written) or "0 seconds"

    @property
    def negative(self) -> bool:
        return min(self.months, self.days, self.seconds) < 0

    def after(self, moment: datetime) -> datetime:
        """The moment that is so much later, by the calendar of the moment's own time zone. A day that the month does
        not have is its last one: a month after 31 January is 28 February, a year after 29 February too."""
        months = moment.year * 12 + moment.month - 1 + self.months
        year, month = months // 12, months % 12 + 1
        day = min(moment.day, monthrange(year, month)[1])
        return moment.replace(year=year, month=month, day=day) + timedelta(days=self.days, seconds=self.seconds)


def read_duration(text: str) -> Duration:
    """`3 days`, `1 month 2 days`, `90m` or `P1Y2M3DT4H`, from 0 to ten years. Raises ValueError with a sentence."""
    found = _read(text.strip())
    if found is None:
        raise ValueError(f"'{text}' is no duration like 3 days, 90 minutes, 1 week 2 days, 1 month or P3DT4H")
    longest = LONGEST.total_seconds()
    if found.months > 120 or found.months * 30 * 86_400 + found.days * 86_400 + found.seconds > longest:
        raise ValueError(f"'{text}' is longer than ten years")
    return found


def read_offset(text: str) -> Duration:
    """A duration before or after: `-3 days`, `+2 hours`, `1 month`. Raises ValueError with a sentence."""
    plain = text.strip()
    try:
        if plain.startswith("-"):
            return -read_duration(plain[1:])
        return read_duration(plain.removeprefix("+"))
    except ValueError as error:
        if "longer" in str(error):
            raise
        raise ValueError(f"'{text}' is no offset like -3 days, 2 hours or 1 month") from None


def fixed(text: str) -> timedelta:
    """A duration that has one length, without months and years. Raises ValueError with a sentence."""
    found = read_duration(text)
    if found.months:
        raise ValueError(f"'{text}' has months or years, which have no fixed length; write days")
    return timedelta(days=found.days, seconds=found.seconds)


def _read(text: str) -> Duration | None:
    if iso := _ISO.fullmatch(text):
        parts = list(zip(("y", "mo", "w", "d", "h", "m", "s"), iso.groups(), strict=True))
    else:
        found = list(_PLAIN.finditer(text))
        if not found or _PLAIN.sub("", text):
            return None
        parts = [(_UNITS[(each.lastindex or 2) - 2], each[1]) for each in found]
    total = {"mo": 0, "d": 0, "s": 0}
    for unit, count in parts:
        for kind, table in (("mo", _MONTHS), ("d", _DAYS), ("s", _SECONDS)):
            total[kind] += int(count or 0) * table.get(unit, 0)
    return Duration(total["mo"], total["d"], total["s"])
