"""The filter `date`: which values are dates, and how Ruby's `strftime`, which Liquid's patterns are for, writes one.

Months and days are always English, whatever the machine's language is.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from dateutil import parser
from liquid.exceptions import LiquidError

from caravan.journeys.placeholders.values import Rendering, as_text, trusted

MAX_PATTERN: Final = 1_000  # characters
_LONGEST_DATE: Final = 100  # characters of a text that is a date
_PARSER_UNITS: Final = 4_000  # the work of reading a date that is not ISO 8601

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
# RFC 5322 §4.3, and UTC by its other names.
_NAMED_OFFSETS = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
_UTC_NAMES = {"UTC", "GMT", "UT", "Z"}


def date(rendering: Rendering, value: object, pattern: str, zone: str = "") -> str:
    """A date or a time written like `pattern`, in `zone` if there is one; anything else stays as it is."""
    if len(pattern) > MAX_PATTERN:
        raise LiquidError(f"a date's pattern has more than {MAX_PATTERN} characters", token=None)
    try:
        moment = _moment(rendering, value, ZoneInfo(zone) if zone else None)
    except (ValueError, OverflowError, OSError):  # outside of the years 1 to 9999
        moment = None
    if moment is None or not pattern:
        return as_text(value, rendering)
    rendering.charge(20 * len(pattern))
    return trusted(strftime(moment, pattern), like=pattern)


def read_date(text: str) -> datetime | None:
    """The date or time that a text is, by the rules of the filter; without a zone where the text tells none."""
    plain = text.strip()
    if len(text) > _LONGEST_DATE or not plain:
        return None
    try:
        if plain.isascii() and plain.isdigit():
            return datetime.fromtimestamp(int(plain), UTC)
        return datetime.fromisoformat(plain)
    except (ValueError, OverflowError, OSError):
        return None if plain.isdigit() else _read_freely(plain)


def is_zone(name: object) -> bool:
    """Whether the tz database has this time zone."""
    return isinstance(name, str) and name in zones()


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """The names of all time zones."""
    return frozenset(available_timezones())


def _moment(rendering: Rendering, value: object, zone: tzinfo | None) -> datetime | None:
    """What is written: with the offset that the value has, else in UTC, or in the zone."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, zone or UTC)
    if not isinstance(value, str) or len(value) > _LONGEST_DATE:
        return None
    text = value.strip()
    if text.lower() in ("now", "today"):
        return rendering.moment().astimezone(zone or UTC)
    if text.isascii() and text.isdigit():
        return datetime.fromtimestamp(int(text), zone or UTC)
    moment = _read(rendering, text)
    if moment is None:
        return None
    if moment.tzinfo is None:
        # A day is a day in every zone; a time without an offset is UTC, as in segments.
        moment = moment.replace(tzinfo=zone if zone and _DAY.fullmatch(text) else UTC)
    return moment.astimezone(zone) if zone else moment


def _read(rendering: Rendering, text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        rendering.charge(_PARSER_UNITS)
        return _read_freely(str(text))


@lru_cache(maxsize=1024)
def _read_freely(text: str) -> datetime | None:
    """`March 14, 2016`, `14/03/2016`, RFC 5322's and others. None if there is no year or no month in it."""
    day_first = not re.match(r"\d{4}", text)
    try:
        # Whatever the text does not say is taken from the default: two of them show what that was.
        first, second = (
            parser.parse(text, default=default, dayfirst=day_first, tzinfos=_offset)
            for default in (datetime(2000, 1, 1), datetime(2004, 2, 1))
        )
    except Exception:  # dateutil raises whatever its arithmetic does
        return None
    return first if first == second else None


def _offset(name: str | None, seconds: int | None) -> tzinfo | None:
    """The zone of a text. Raises ValueError for a name that nothing tells the offset of."""
    if seconds is not None:
        return timezone(timedelta(seconds=seconds))
    if name is None:
        return None
    if name in _UTC_NAMES:
        return UTC
    if name in _NAMED_OFFSETS:
        return timezone(timedelta(hours=_NAMED_OFFSETS[name]))
    raise ValueError(name)


# Ruby's strftime: %[flags][width]conversion
_DIRECTIVE = re.compile(r"%([-_0^#]*)(\d{0,3})[EO]?(:{0,3}z|[a-zA-Z+%])")

# Each number with its width and what fills it up.
_NUMBERS: dict[str, tuple[int, str, Callable[[datetime], int]]] = {
    "Y": (4, "0", lambda t: t.year),
    "C": (2, "0", lambda t: t.year // 100),
    "y": (2, "0", lambda t: t.year % 100),
    "m": (2, "0", lambda t: t.month),
    "d": (2, "0", lambda t: t.day),
    "e": (2, " ", lambda t: t.day),
    "j": (3, "0", lambda t: t.timetuple().tm_yday),
    "H": (2, "0", lambda t: t.hour),
    "k": (2, " ", lambda t: t.hour),
    "I": (2, "0", lambda t: t.hour % 12 or 12),
    "l": (2, " ", lambda t: t.hour % 12 or 12),
    "M": (2, "0", lambda t: t.minute),
    "S": (2, "0", lambda t: t.second),
    "s": (1, "0", lambda t: (t - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)),
    "u": (1, "0", lambda t: t.isoweekday()),
    "w": (1, "0", lambda t: t.isoweekday() % 7),
    "G": (4, "0", lambda t: t.isocalendar().year),
    "g": (2, "0", lambda t: t.isocalendar().year % 100),
    "V": (2, "0", lambda t: t.isocalendar().week),
    "U": (2, "0", lambda t: (t.timetuple().tm_yday + 6 - t.isoweekday() % 7) // 7),
    "W": (2, "0", lambda t: (t.timetuple().tm_yday + 6 - t.weekday()) // 7),
}
_WORDS: dict[str, Callable[[datetime], str]] = {
    "A": lambda t: _DAYS[t.weekday()],
    "a": lambda t: _DAYS[t.weekday()][:3],
    "B": lambda t: _MONTHS[t.month - 1],
    "b": lambda t: _MONTHS[t.month - 1][:3],
    "h": lambda t: _MONTHS[t.month - 1][:3],
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "P": lambda t: "am" if t.hour < 12 else "pm",
    "Z": lambda t: "" if isinstance(t.tzinfo, timezone) and t.tzinfo is not UTC else t.tzname() or "",
    "n": lambda t: "\n",
    "t": lambda t: "\t",
    "%": lambda t: "%",
}
_TOGETHER = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "v": "%e-%^b-%Y",
    "+": "%a %b %e %H:%M:%S %Z %Y",
}


def strftime(moment: datetime, pattern: str) -> str:
    """The moment (timezone-aware) by Ruby's `strftime`; directives that Ruby does not know stay as they are."""
    return _DIRECTIVE.sub(lambda found: _directive(moment, found), str(pattern))


def _directive(moment: datetime, found: re.Match[str]) -> str:
    flags, width, sign = found[1], int(found[2] or 0), found[3]
    if sign in _NUMBERS:
        least, fill, read = _NUMBERS[sign]
        return _padded(str(read(moment)), flags, width or least, fill)
    if sign in ("L", "N"):
        return f"{moment.microsecond:06}000".ljust(width, "0")[: width or (3 if sign == "L" else 9)]
    if sign.endswith("z"):
        return _padded_offset(moment, flags, width, sign.count(":"))
    if sign not in _WORDS and sign not in _TOGETHER:
        return found[0]
    text = strftime(moment, _TOGETHER[sign]) if sign in _TOGETHER else _WORDS[sign](moment)
    return _padded(_cased(text, flags, sign), flags.replace("-", ""), width, " ")


def _cased(text: str, flags: str, sign: str) -> str:
    if "^" in flags:
        return text.upper()
    if "#" in flags:
        return text.lower() if sign == "p" else text.swapcase() if sign == "Z" else text.upper()
    return text


def _padded(text: str, flags: str, width: int, fill: str) -> str:
    for flag in flags:
        fill = {"-": "", "_": " ", "0": "0"}.get(flag, fill)
    return text.rjust(width, fill) if fill else text


def _padded_offset(moment: datetime, flags: str, width: int, colons: int) -> str:
    """`+0100`, with one colon `+01:00`, with two `+01:00:00`, with three as short as it can be."""
    offset = moment.utcoffset() or timedelta(0)
    minutes, seconds = divmod(int(abs(offset).total_seconds()), 60)
    parts = [f"{minutes // 60:02}", f"{minutes % 60:02}", f"{seconds:02}"]
    if colons == 3:
        shown = parts if seconds else parts[:2] if minutes % 60 else parts[:1]
    else:
        shown = parts if colons == 2 else parts[:2]
    text = (":" if colons else "").join(shown)
    if "-" in flags:
        text = text.removeprefix("0")
    return ("-" if offset < timedelta(0) else "+") + text.rjust(width - 1, "0")
