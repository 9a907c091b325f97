"""Wall clocks of many contacts at once: local time and UTC, by the tz database that Python has.

Where clocks are put on, a local time that is skipped counts with the offset before the change, so 02:30 is 03:30; where
they are put back, a time that comes twice is its first one (RFC 5545 §3.3.5).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Micros = NDArray[np.int64]  # since 1970-01-01, in UTC or on a wall
DAY: Final = 86_400_000_000
_FIRST: Final = 2000  # the year; before it the offset holds that it begins with, as no wait ends there
_STEP: Final = timedelta(days=4)  # no zone changes its clock twice in less


@dataclass(frozen=True)
class Zone:
    """The offsets of a time zone: the first one holds until the first start, and so on."""

    name: str
    starts: Micros  # UTC
    offsets: Micros

    def to_local(self, utc: Micros) -> Micros:
        """What a clock on the wall shows at these moments."""
        return utc + self.offsets[np.searchsorted(self.starts, utc, side="right")]

    def to_utc(self, local: Micros) -> Micros:
        """The moments at which a clock on the wall shows this."""
        walls = self.starts + np.maximum(self.offsets[:-1], self.offsets[1:])
        return local - self.offsets[np.searchsorted(walls, local, side="right")]

    def comes_twice(self, local: Micros) -> NDArray[np.bool_]:
        """Whether a clock on the wall shows this twice."""
        starts, before, after = self.starts, self.offsets[:-1], self.offsets[1:]
        at = np.searchsorted(starts + after, local, side="right") - 1
        last = np.maximum(at, 0)
        if not len(starts):
            return np.zeros(len(local), np.bool_)
        return (at >= 0) & (before[last] > after[last]) & (local < starts[last] + before[last])


@lru_cache(maxsize=1_024)
def read_zone(name: str, last: int) -> Zone:
    """The zone of this name, which the tz database has, up to the end of the year `last`."""
    zone = ZoneInfo(name)
    moment, end = datetime(_FIRST, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
    starts, offsets = [], [_offset(zone, moment)]
    while moment < end:
        following = moment + _STEP
        if _offset(zone, following) != offsets[-1]:
            start = _change(zone, moment, following)
            starts.append(int(start.timestamp()) * 1_000_000)
            offsets.append(_offset(zone, start))
        moment = following
    return Zone(name, np.array(starts, np.int64), np.array(offsets, np.int64))


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    found = moment.astimezone(zone).utcoffset()
    assert found is not None
    return found // timedelta(microseconds=1)


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The second, after `low` and up to `high`, from which another offset holds than at `low`."""
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // timedelta(seconds=2) * timedelta(seconds=1)
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high
