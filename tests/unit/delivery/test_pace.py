"""Slots are given out evenly, by whoever asks, and never faster than all paces together allow."""

from bisect import bisect_left
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.delivery.pace import CATCH_UP, SLICE, Grant, Refusal, Slots, most_on, patience, share
from caravan.store.paces import Limits, Pace, Ramp

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def pace(limits: Limits, *, number: int = 1, sent: int = 0, day: date | None = None) -> Pace:
    return Pace(number, None, "email", limits, LONG_AGO, day, sent)


@settings(deadline=None)
@given(
    rate=st.floats(0.2, 5_000),
    other=st.none() | st.floats(0.2, 5_000),
    asks=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 400)), min_size=1, max_size=60),
)
def test_any_ten_seconds_have_at_most_what_the_slowest_pace_allows(
    rate: float, other: float | None, asks: list[tuple[float, int]]
) -> None:
    bound = [pace(Limits(per_second=each), number=index) for index, each in enumerate([rate, other]) if each]
    slowest, slots, now = min(each for each in (rate, other) if each), list[float](), 0.0
    for pause, wanted in asks:
        now += pause
        answer, used = share(bound, wanted, NOON + timedelta(seconds=now))
        if isinstance(answer, Refusal):
            assert answer.after > SLICE
            assert used == []
            continue
        assert 1 <= answer.count <= wanted
        assert -CATCH_UP - 1e-6 <= answer.begins <= SLICE
        slots += [max(now, now + answer.begins + place * answer.spacing) for place in range(answer.count)]
        bound = used
    slots.sort()
    for place, first in enumerate(slots):
        assert bisect_left(slots, first + 10) - place <= slowest * (10 + CATCH_UP) + 2


def test_those_who_ask_together_get_slots_behind_each_other_and_the_third_is_to_come_again() -> None:
    bound = [pace(Limits(per_second=100))]
    first, bound = share(bound, 500, NOON)
    second, bound = share(bound, 500, NOON)
    third, used = share(bound, 500, NOON + timedelta(seconds=0.1))
    fourth, _ = share(bound, 500, NOON + timedelta(seconds=0.7))
    assert isinstance(first, Grant) and isinstance(second, Grant) and isinstance(fourth, Grant)
    assert (first.count, first.begins, first.spacing) == (100, pytest.approx(-CATCH_UP), 0.01)
    assert (second.count, second.begins) == (100, pytest.approx(1 - CATCH_UP))
    assert isinstance(third, Refusal) and used == []
    assert (third.after, third.rate) == (pytest.approx(1.5), 100)
    assert "email is paced at 100 a second" in third.reason
    assert fourth.begins == pytest.approx(0.9)


def test_a_slow_pace_gives_one_slot_at_a_time() -> None:
    bound = [pace(Limits(per_second=0.1))]
    first, bound = share(bound, 50, NOON)
    second, _ = share(bound, 50, NOON)
    assert isinstance(first, Grant) and first.count == 1
    assert isinstance(second, Refusal) and second.after == pytest.approx(10 - CATCH_UP)


def test_the_days_limit_is_kept_and_begins_anew_at_midnight() -> None:
    bound = [pace(Limits(per_day=30), sent=25, day=NOON.date())]
    first, bound = share(bound, 200, NOON)
    refused, _ = share(bound, 200, NOON)
    tomorrow, used = share(bound, 200, NOON + timedelta(hours=12))
    assert first == Grant(5)
    assert isinstance(refused, Refusal) and refused.after == 12 * 3600 and refused.rate is None
    assert "today's 30 deliveries by email are made" in refused.reason
    assert tomorrow == Grant(30) and used[0].sent == 30


def test_a_warm_up_grows_each_day_until_the_days_limit() -> None:
    limits = Limits(per_day=5_000, ramp=Ramp(NOON.date(), 1_000, 1.5))
    days = [most_on(limits, NOON.date() + timedelta(days=day)) for day in (-1, 0, 1, 2, 3, 4, 4_000)]
    assert days == [1_000, 1_000, 1_500, 2_250, 3_375, 5_000, 5_000]
    assert most_on(replace(limits, per_day=None), NOON.date() + timedelta(days=2)) == 2_250


def test_the_more_stand_the_later_they_come_again_but_within_half_a_minute() -> None:
    few = [patience(Refusal(1.2, "", 100.0), 200) for _ in range(200)]
    many = [patience(Refusal(1.2, "", 100.0), 1_000_000) for _ in range(200)]
    assert min(few) >= 0.7 and max(few) <= 1.7
    assert max(many) == 30
    assert 43_200 <= patience(Refusal(43_200, ""), 1_000_000) <= 43_210


def test_those_that_are_late_leave_hardly_faster_than_the_others() -> None:
    slots = Slots(100.0, 0.1)
    in_time = [slots.after(slots.of(index)) for index in range(5)]
    late = [slots.after(101.5) for _ in range(5)]
    assert in_time == pytest.approx([100.0, 100.1, 100.2, 100.3, 100.4])
    assert late == pytest.approx([101.5, 101.59, 101.68, 101.77, 101.86])
