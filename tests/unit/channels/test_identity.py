"""A delivery has one name for all its attempts, and no other delivery has it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.channels.identity import delivery_key

Name = tuple[str, str, str, int, int]
names = st.tuples(st.text(), st.text(), st.text(), st.integers(0), st.integers(0))


def test_never_changes_because_a_retry_may_come_after_an_upgrade() -> None:
    assert delivery_key("b1", "offer", "4711", 3, 1) == "1797d9edcef9a008978d334517351aa4fca0357c"


@settings(max_examples=50)
@given(names, names)
def test_differs_for_different_deliveries(
    one: tuple[str, str, str, int, int], other: tuple[str, str, str, int, int]
) -> None:
    assert (delivery_key(*one) == delivery_key(*other)) == (one == other)


def test_keeps_apart_what_only_looks_the_same_side_by_side() -> None:
    keys = {
        delivery_key("ab", "c", "d", 1, 1),
        delivery_key("a", "bc", "d", 1, 1),
        delivery_key("a", "b", "cd", 1, 1),
        delivery_key("a", "b", "cd", 11, 1),
        delivery_key("a", "b", "cd", 1, 11),
        delivery_key('a","b', "", "cd", 1, 1),
    }
    assert len(keys) == 6


@given(st.text())
def test_can_stand_in_a_message_id_and_in_a_header(contact: str) -> None:
    key = delivery_key("b", "s", contact, 1, 1)
    assert len(key) == 40
    assert set(key) <= set("0123456789abcdef")


def test_takes_lone_surrogates() -> None:
    assert delivery_key("b", "s", "\ud800", 1, 1) != delivery_key("b", "s", "\ud801", 1, 1)
