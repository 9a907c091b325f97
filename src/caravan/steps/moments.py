"""When contacts may go on that wait until a moment: date, hour and weekday solved together, for many at once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caravan.journeys.durations import LONGEST, Duration
from caravan.journeys.placeholders.dates import is_zone
from caravan.steps.columns import Column, Moments, shown
from caravan.steps.zones import DAY, Micros, Zone, read_zone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST: Final = LONGEST // timedelta(microseconds=1)
_ANY_DAY: Final = (True,) * 7
EARLIEST, LATEST = -62_135_596_800_000_000, 253_370_764_800_000_000  # the years 1 to 9998


class Fate(IntEnum):
    """What becomes of a contact at the step."""

    WAITS = 0
    PAST = 1
    INVALID = 2


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with a base moment. `days` begin with Monday. `later`: a moment that is past stands for the next one
    at the same hour; `from_arrival`: the base is the arrival itself, so that this is no news."""

    offset: Duration = field(default_factory=Duration)
    days: tuple[bool, ...] = _ANY_DAY
    later: bool = False
    from_arrival: bool = False


@dataclass(frozen=True, slots=True)
class Solved:
    """The moment of each contact (microseconds in UTC), what becomes of it, and the sentence for the journal."""

    due: Micros
    fate: NDArray[np.int8]
    zone: pa.Array
    detail: pa.Array


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(micros: int) -> datetime:
    """The same backwards."""
    return _EPOCH + timedelta(microseconds=micros)


def solve(base: Moments, zones: Column, at: Column | None, rule: Rule, arrived: datetime) -> Solved:
    """The moment of each contact that arrived then. `zones` are names of time zones, `at` times of the day."""
    size = len(base.micros)
    failures = dict(base.failures)
    clock = np.full(size, -1, np.int64) if at is None else _clocks(at, failures)
    due, fate = np.zeros(size, np.int64), np.full(size, Fate.INVALID, np.int8)
    names, pieces = np.full(size, "", dtype=object), list[tuple[NDArray[np.int64], pa.Array]]()
    for place, reason in zones.failures.items():
        failures.setdefault(place, reason)
    good = np.ones(size, np.bool_)
    good[np.array(list(failures), np.int64)] = False
    for name, places in zones.distinct():
        some = places[good[places]]
        if not is_zone(name.strip()):
            failures |= {place: f"{shown(name)} is no time zone" for place in some.tolist()}
            continue
        zone = read_zone(name.strip(), arrived.year + 11)
        part = _Part(zone, rule, micros_of(arrived), base.micros[some], base.zoned[some], clock[some])
        part.solve()
        due[some], fate[some], names[some] = part.due, part.fate, zone.name
        pieces.append((some, part.details()))
    told = [f"without a moment to wait until: {reason}" for reason in failures.values()]
    pieces.append((np.array(list(failures), np.int64), pa.array(told, pa.string())))
    order = np.argsort(np.concatenate([places for places, _ in pieces]), kind="stable")
    detail = pa.concat_arrays([each for _, each in pieces]).take(pa.array(order))
    return Solved(due, fate, pa.array(names, pa.string()), detail)


def _clocks(at: Column, failures: dict[int, str]) -> Micros:
    """The times of the day that these texts are, in microseconds."""
    found = np.full(len(at.texts), -1, np.int64)
    for text, places in at.distinct():
        micros = read_clock(text)
        if micros is None:
            failures |= {each: f"{shown(text)} is no time like 09:00" for each in places.tolist()}
        else:
            found[places] = micros
    failures |= at.failures
    return found


def read_clock(text: str) -> int | None:
    """`09:00` or `09:00:30` in microseconds since midnight; None for anything else."""
    parts = text.strip().split(":")
    if len(parts) not in (2, 3) or not all(1 <= len(each) <= 2 and each.isascii() and each.isdigit() for each in parts):
        return None
    hours, minutes, seconds = (*map(int, parts), 0)[:3]
    if hours > 23 or minutes > 59 or seconds > 59 or any(len(each) != 2 for each in parts[1:]):
        return None
    return (hours * 3_600 + minutes * 60 + seconds) * 1_000_000


class _Part:
    """Some contacts of one time zone."""

    def __init__(
        self, zone: Zone, rule: Rule, arrived: int, base: Micros, zoned: NDArray[np.bool_], clock: Micros
    ) -> None:
        self._zone, self._rule, self._arrived = zone, rule, arrived
        self._base, self._zoned, self._clock = base, zoned, clock
        self._ahead = np.array([_days_ahead(rule.days, each) for each in range(7)], np.int64)
        self.fate = np.full(len(base), Fate.WAITS, np.int8)
        self._wall = np.zeros(0, np.int64)  # what was asked for, on the wall
        self._missed = np.zeros(0, np.int64)  # the moment that was past
        self.due = np.zeros(0, np.int64)

    def solve(self) -> None:
        """Find the moment of each."""
        offset, zone = self._rule.offset, self._zone
        self._wall = np.where(self._zoned, zone.to_local(self._base), self._base)
        self.due = np.where(self._zoned, self._base, zone.to_utc(self._base))
        if offset.months or offset.days:
            self._wall = _shifted(self._wall, offset)
            self.due = zone.to_utc(self._wall)
        if offset.seconds:
            self.due = self.due + offset.seconds * 1_000_000
            self._wall = zone.to_local(self.due)
        fixed = self._clock >= 0
        self._wall = np.where(fixed, self._wall // DAY * DAY + self._clock, self._wall)
        self._settle(fixed | (self._ahead[_weekday(self._wall)] > 0))
        self._missed = self.due.copy()
        if self._rule.later:
            self._next()
        else:
            self.fate[self.due < self._arrived] = Fate.PAST
        self._bound()

    def _settle(self, some: NDArray[np.bool_]) -> None:
        """Give these the moment of their time on the wall, on a day that is allowed."""
        places = np.flatnonzero(some)
        while places.size:
            self._wall[places] += self._ahead[_weekday(self._wall[places])] * DAY
            self.due[places] = self._zone.to_utc(self._wall[places])
            # A clock that is put on over midnight may leave the day: the rule holds for the day that it really is.
            real = self._ahead[_weekday(self._zone.to_local(self.due[places]))]
            places = places[real > 0]
            self._wall[places] += DAY

    def _next(self) -> None:
        """Those whose moment is not later than their arrival get the next one at the same hour."""
        late = self.due <= self._arrived
        today = int(self._zone.to_local(np.array([self._arrived]))[0]) // DAY * DAY
        self._wall = np.where(late, today + self._wall % DAY, self._wall)
        while late.any():
            self._settle(late)
            late = self.due <= self._arrived
            self._wall[late] += DAY

    def _bound(self) -> None:
        """Nobody waits for longer than ten years."""
        far = self.due > self._arrived + _MOST
        self.fate[far] = Fate.INVALID

    def details(self) -> pa.Array:
        """The sentence of each for the journal."""
        local = self._zone.to_local(self.due)
        moments = pc.binary_join_element_wise(_texts(local), self._zone.name, " ")
        found = pc.binary_join_element_wise("until", moments, " ")
        notes = self._notes(local)
        special = np.flatnonzero((self.fate != Fate.WAITS) | (notes != ""))
        if not special.size:
            return found
        some = moments.take(pa.array(special)).to_pylist()
        told = [_sentence(*each) for each in zip(some, notes[special], self.fate[special].tolist(), strict=True)]
        mask = np.zeros(len(local), np.bool_)
        mask[special] = True
        return pc.replace_with_mask(found, pa.array(mask), pa.array(told, pa.string()))

    def _notes(self, local: Micros) -> NDArray[np.object_]:
        """What is worth a word about the moment of each."""
        notes = np.full(len(local), "", dtype=object)
        notes[self._zone.comes_twice(local) & (self._zone.to_utc(local) == self.due)] = ", the first of two"
        skipped = np.flatnonzero(local != self._wall)
        walls = _texts(self._wall[skipped]).to_pylist()
        notes[skipped] = [f", as clocks skip {each[11:]} there" for each in walls]
        if self._rule.later and not self._rule.from_arrival:
            missed = np.flatnonzero(self._missed < self._arrived)
            walls = _texts(self._zone.to_local(self._missed[missed])).to_pylist()
            for place, each in zip(missed.tolist(), walls, strict=True):
                notes[place] += f", since {each} was past"
        return notes


def _sentence(moment: str, note: str, fate: int) -> str:
    if fate == Fate.WAITS:
        return f"until {moment}{note}"
    if fate == Fate.PAST:
        return f"{moment} was past{note}"
    return f"without a moment to wait until: {moment} is more than ten years ahead"


def _texts(wall: Micros) -> pa.Array:
    """Times on the wall: `2026-03-29 09:00:00`."""
    seconds = np.clip(wall, EARLIEST, LATEST) // 1_000_000
    return pa.array(seconds, pa.timestamp("s")).cast(pa.string())


def _weekday(wall: Micros) -> NDArray[np.int64]:
    """0 is Monday."""
    return (wall // DAY + 3) % 7


def _days_ahead(days: tuple[bool, ...], weekday: int) -> int:
    """How many days there are from a weekday to the next that is allowed."""
    return next(ahead for ahead in range(7) if days[(weekday + ahead) % 7])


def _shifted(wall: Micros, offset: Duration) -> Micros:
    """So much later by the calendar; a day that the month does not have is its last one."""
    date, clock = wall // DAY, wall % DAY
    if offset.months:
        days = date.astype("M8[D]")
        months = days.astype("M8[M]")
        day = (days - months.astype("M8[D]")).astype(np.int64)
        later = months + np.timedelta64(offset.months, "M")
        longest = ((later + 1).astype("M8[D]") - later.astype("M8[D]")).astype(np.int64) - 1
        date = later.astype("M8[D]").astype(np.int64) + np.minimum(day, longest)
    return (date + offset.days) * DAY + clock
