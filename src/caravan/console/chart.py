"""What moved over time as a chart: bars of a fixed length of time, each divided by outcome."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from caravan.queries.moved import Minute, Moved

_FEWEST, _BARS = 4, 60  # that there is room for
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_LENGTHS = (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY, 28 * _DAY)
_WORDS = ("a minute", "5 minutes", "15 minutes", "an hour", "6 hours", "a day", "a week", "4 weeks")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a bar with one outcome, in percent of the chart's height, from above."""

    outcome: str
    contacts: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time; `x` in percent of the chart's width."""

    at: datetime
    x: float
    contacts: int
    pieces: list[Piece]


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole: how long a bar is, in words, how wide in percent, and the most contacts in one."""

    bars: list[Bar]
    width: float
    each: str
    most: int
    start: datetime
    end: datetime
    totals: list[tuple[str, int]]
    whole: bool


def chart(moved: Moved) -> Chart | None:
    """The chart; None where nothing has moved yet."""
    if not moved.counts:
        return None
    first, last = min(at for at, _ in moved.counts), max(at for at, _ in moved.counts)
    length, words = next(
        (
            pair
            for pair in zip(_LENGTHS, _WORDS, strict=True)
            if _floor(last, pair[0]) - _floor(first, pair[0]) < _BARS * pair[0]
        ),
        (_LENGTHS[-1], _WORDS[-1]),
    )
    found = _summed(moved.counts, length)
    start = _floor(first, length)
    end = start + max(_floor(last, length) + length - start, _FEWEST * length)
    most = max(sum(each.values()) for each in found.values())
    bars = [_bar(at, 100 * ((at - start) / (end - start)), found[at], most) for at in sorted(found)]
    totals: dict[str, int] = defaultdict(int)
    for (_, outcome), contacts in moved.counts.items():
        totals[outcome] += contacts
    return Chart(bars, 100 * (length / (end - start)), words, most, start, end, sorted(totals.items()), moved.whole)


def _floor(at: datetime, length: timedelta) -> datetime:
    return at - (at - _EPOCH) % length


def _summed(minutes: Mapping[Minute, int], length: timedelta) -> dict[datetime, dict[str, int]]:
    found: dict[datetime, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (at, outcome), contacts in minutes.items():
        found[_floor(at, length)][outcome] += contacts
    return found


def _bar(at: datetime, x: float, outcomes: dict[str, int], most: int) -> Bar:
    pieces, y = [], 100.0
    for outcome, contacts in sorted(outcomes.items()):
        height = 100 * contacts / most
        y -= height
        pieces.append(Piece(outcome, contacts, y, height))
    return Bar(at, x, sum(outcomes.values()), pieces)
