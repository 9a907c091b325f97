"""How large the shares of a cohort are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.delivery.share import share_size

Entered = st.integers(0, 100_000_000)


@given(st.integers(1, 70_000), Entered, st.integers(1, 1_000), st.integers(4, 20))
def test_a_share_has_whole_windows_and_is_not_cut_again(contacts: int, entered: int, window: int, windows: int) -> None:
    size = share_size(contacts, entered, window, windows)
    assert 0 < size <= contacts
    if size < contacts:
        assert size % window == 0
        assert size >= windows * window
        assert share_size(size, entered, window, windows) == size


@given(st.integers(1, 70_000), Entered)
def test_the_last_share_is_not_cut_again_either(contacts: int, entered: int) -> None:
    rest = contacts % share_size(contacts, entered, 200, 10)
    assert rest == 0 or share_size(rest, entered, 200, 10) == rest


@pytest.mark.parametrize(
    ("contacts", "entered", "shares"),
    [(3_999, 3_999, 1), (4_000, 4_000, 2), (20_000, 20_000, 10), (65_536, 1_000_000, 8), (65_536, 10_000_000, 1)],
)
def test_a_batch_has_some_hundred_shares_and_none_is_tiny(contacts: int, entered: int, shares: int) -> None:
    assert -(-contacts // share_size(contacts, entered, 200, 10)) == shares
