"""Time zones as contacts and journey files name them."""

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

from caravan.journeys.placeholders.dates import zones

_LONGEST = 64  # characters
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?", re.ASCII | re.IGNORECASE)
_WIDEST = timedelta(hours=14)


def zone_of(name: str) -> tzinfo | None:
    """The zone of this name: one of the IANA database (`Europe/Stockholm`, in any case), or an offset from UTC like
    `+05:30`. None for what is neither."""
    wanted = name.strip()
    if not wanted or len(wanted) > _LONGEST:
        return None
    if offset := _OFFSET.fullmatch(wanted):
        sign, hours, minutes = offset.groups(default="0")
        ahead = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-ahead if sign == "-" else ahead) if ahead <= _WIDEST and int(minutes) < 60 else None
    known = _names().get(wanted.casefold())
    if known is None:
        return None
    return UTC if known == "UTC" else ZoneInfo(known)


def zone_names() -> list[str]:
    """The names of the IANA database."""
    return sorted(_names().values())


@cache
def _names() -> dict[str, str]:
    """By their names in small letters; what asks for a file of such a name is never what a contact says."""
    return {each.casefold(): each for each in zones()}
