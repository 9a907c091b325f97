"""The hours in which a step sends, by the clock of each contact's time zone.

A day has one opening, which belongs to the day on which it begins, also where it goes on past midnight. By the clock on
the wall it opens at `begins` and closes at `ends`. Where summer time begins or ends:

- A time that the clock skips is the moment at which it skips: hours from 02:30 open at 03:00, and hours to 02:30 close
  then. Hours of which nothing is left do not open on that day.
- A time that the clock shows twice is the first of the two, for opening and for closing.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from caravan.delivery.holidays import holiday
from caravan.delivery.zones import zone_of

_FARTHEST = 400  # days in which there is an opening, or none
_DAY = 24 * 60  # minutes


@dataclass(frozen=True, slots=True)
class Opening:
    """From `begins` until before `ends` it may be sent; both in UTC."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Hours:
    """When a step sends."""

    begins: int  # minutes after midnight
    ends: int  # minutes after the midnight at which that day began; more than `begins`, so up to twice a day's
    days: frozenset[int]  # 0 is Monday
    holidays: str | None  # of this country it is closed (holidays.py)
    default_zone: str
    skips: bool  # whoever may not be sent to now is left out, instead of standing until then
    spread: timedelta  # in which those that stood are released

    def zone(self, name: str) -> tzinfo:
        """The zone that a contact's properties name; what is none, or nothing, is the default."""
        return zone_of(name) or zone_of(self.default_zone) or UTC

    def opening(self, now: datetime, zone: tzinfo) -> Opening | None:
        """The opening of now, or else the next one; None if none comes within a year."""
        today = now.astimezone(zone).date()
        for ahead in range(-1, _FARTHEST):
            day = today + timedelta(days=ahead)
            if day.weekday() not in self.days or (self.holidays is not None and holiday(self.holidays, day)):
                continue
            found = Opening(moment(day, self.begins, zone), moment(day, self.ends, zone))
            if max(now, found.begins) < found.ends:
                return found
        return None


def moment(day: date, minutes: int, zone: tzinfo) -> datetime:
    """When the clocks of a zone show that many minutes after midnight of a day, in UTC; see above for the days on which
    they are put forward or back."""
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)
    first = wall.replace(tzinfo=zone).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    return _skip(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first, zone)


def _skip(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The moment between the two at which the clocks of the zone skip some time, to the second."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
