"""Exponential backoff."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.backoff import Backoff

_BACKOFFS = st.builds(
    Backoff,
    first=st.floats(0, 1e6),
    factor=st.floats(1, 100),
    longest=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
)


def test_doubles_up_to_the_longest() -> None:
    assert [Backoff(1, 2, 15).delay(failures) for failures in range(7)] == [0, 1, 2, 4, 8, 15, 15]


@given(_BACKOFFS, st.integers(1, 10**9))
def test_a_delay_lies_between_its_grown_value_and_what_jitter_leaves_of_it(backoff: Backoff, failures: int) -> None:
    grown = Backoff(backoff.first, backoff.factor, backoff.longest).delay(failures)
    assert grown * (1 - backoff.jitter) * 0.999999 <= backoff.delay(failures) <= grown <= backoff.longest


@given(_BACKOFFS, st.integers(1, 1000))
def test_without_jitter_a_delay_never_shrinks(backoff: Backoff, failures: int) -> None:
    steady = Backoff(backoff.first, backoff.factor, backoff.longest)
    assert steady.delay(failures) <= steady.delay(failures + 1)


@pytest.mark.parametrize("wrong", [(-1, 2, 3), (1, 0.5, 3), (1, 2, -3), (1, 2, 3, 1.5), (1, 2, 3, -0.1)])
def test_a_backoff_that_makes_no_sense_is_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="Backoff"):
        Backoff(*wrong)
