"""The rate of a watched batch."""

import pytest

from caravan.queries.watch import Rate


def test_a_rate_is_smooth_where_counts_come_in_jumps() -> None:
    """2,500 contacts a second, of which the ledger hears 5,000 at a time: each look is within a fifth of the truth."""
    rate, told = Rate(), []
    for tick in range(100):
        seconds = tick / 2
        told.append(rate.update(int(seconds // 2) * 5_000, seconds))
    assert all(2_000 <= each <= 3_000 for each in told[40:])


def test_a_rate_falls_to_nothing_once_nothing_moves() -> None:
    rate = Rate()
    for tick in range(20):
        rate.update(100 * tick, tick)
    assert [rate.update(2_000, 20.0 + tick) for tick in (0, 5, 10)][-1] == 0.0


@pytest.mark.parametrize("count", [0, 7, 10**9])
def test_a_single_look_tells_no_rate(count: int) -> None:
    assert Rate().update(count, 1.0) == 0.0


def test_a_count_that_goes_back_is_no_rate_below_zero() -> None:
    """Contacts in a window that is given back for a retry were counted as settled before."""
    rate = Rate()
    rate.update(100, 0.0)
    assert rate.update(90, 1.0) == 0.0
