"""Contacts that stand share a few moments, and none of them is early."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from caravan.delivery.build_move import shared_moments

BASE = datetime(2026, 11, 26, tzinfo=UTC)


def test_few_moments_stay_as_they_are() -> None:
    moments = [BASE + timedelta(hours=each) for each in range(30)]
    assert shared_moments(moments) == {each: each for each in moments}
    assert shared_moments([]) == {}


def test_steps_of_several_openings_are_joined_before_openings_are() -> None:
    """Ten zones, an hour apart, each released in eight steps of two minutes: who opens first never waits for the next
    zone."""
    moments = [BASE + timedelta(hours=zone, minutes=2 * step) for zone in range(10) for step in range(8)]
    shared = shared_moments(moments)
    assert len(set(shared.values())) <= 32
    assert max(late - each for each, late in shared.items()) <= timedelta(minutes=8)


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=300))
def test_at_most_32_are_left_and_nobody_is_early(seconds: set[int]) -> None:
    moments = [BASE + timedelta(seconds=each) for each in sorted(seconds)]
    shared = shared_moments(moments)
    assert list(shared) == moments
    assert len(set(shared.values())) <= 32
    assert all(late >= each for each, late in shared.items())
