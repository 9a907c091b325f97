"""The chart of what moved over time."""

from datetime import UTC, datetime, timedelta

import pytest

from caravan.console.chart import chart
from caravan.queries.moved import Moved

START = datetime(2026, 11, 26, 12, 7, tzinfo=UTC)


def test_where_nothing_has_moved_there_is_no_chart() -> None:
    assert chart(Moved({}, whole=True)) is None


def test_a_bar_is_a_minute_divided_by_outcome_and_the_highest_fills_the_height() -> None:
    later = START + timedelta(minutes=3)
    found = chart(Moved({(START, "sent"): 30, (START, "failed"): 10, (later, "sent"): 20}, whole=True))
    assert found is not None
    assert (found.each, found.most, found.width) == ("a minute", 40, 25)
    assert [(bar.at, bar.x, bar.contacts) for bar in found.bars] == [(START, 0, 40), (later, 75, 20)]
    assert [(each.outcome, each.y, each.height) for each in found.bars[0].pieces] == [
        ("failed", 75, 25),
        ("sent", 0, 75),
    ]
    assert found.totals == [("failed", 10), ("sent", 50)]


@pytest.mark.parametrize(
    ("span", "each"),
    [
        (timedelta(minutes=59), "a minute"),
        (timedelta(hours=2), "5 minutes"),
        (timedelta(days=2), "an hour"),
        (timedelta(days=30), "a day"),
        (timedelta(days=3_650), "4 weeks"),
    ],
)
def test_the_bars_are_as_long_as_the_whole_needs_and_lose_nobody(span: timedelta, each: str) -> None:
    found = chart(Moved({(START, "sent"): 1, (START + span, "passed"): 2}, whole=True))
    assert found is not None and found.each == each
    assert sum(bar.contacts for bar in found.bars) == 3
    assert found.start <= START and START + span < found.end
    assert all(bar.x >= 0 and bar.x + found.width <= 100.001 for bar in found.bars)
