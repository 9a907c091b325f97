"""Who has a place under a cap, and when there is room again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.delivery.cap import digest, period_words, share_places
from caravan.delivery.decisions import SEND, Later, Skip
from caravan.engine.caps import make_cap, read_cap
from caravan.errors import InvalidInput
from caravan.store.caps import Cap, Counted
from caravan.store.ledger import Outcome

NOW = datetime(2026, 11, 26, tzinfo=UTC)
WEEK = timedelta(days=7)


def send(recipient: str, delivery: int) -> Counted:
    return Counted(recipient.encode(), b"%d" % delivery, delivery)


def test_of_several_messages_to_one_recipient_the_first_ones_go() -> None:
    decisions, new = share_places(Cap(2, WEEK), "email", [send("a", n) for n in range(4)] + [send("b", 4)], {}, NOW)
    assert [each is SEND for each in decisions] == [True, True, False, False, True]
    assert [each.line for each in new] == [0, 1, 4]
    assert isinstance(decisions[2], Skip)
    assert decisions[2].outcome is Outcome.CAPPED


def test_a_delivery_that_is_counted_already_goes_and_is_not_counted_twice() -> None:
    """It may have arrived at an earlier attempt, and its step says to send it again."""
    decisions, new = share_places(Cap(1, WEEK), "email", [send("a", 1)], {b"a": [(NOW, b"1")]}, NOW)
    assert decisions == [SEND]
    assert new == []


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=20), st.integers(1, 5))
def test_who_waits_is_due_in_the_first_moment_at_which_fewer_count(minutes: list[int], most: int) -> None:
    moments = [NOW - timedelta(minutes=each) for each in minutes]
    known = {b"a": [(moment, b"x%d" % number) for number, moment in enumerate(moments)]}
    ((decision,), new) = share_places(Cap(most, WEEK, waits=True), "email", [send("a", 1)], known, NOW)
    if len(minutes) < most:
        assert decision is SEND
        return
    assert isinstance(decision, Later)
    assert decision.until is not None
    assert new == []

    def counted(at: datetime) -> int:
        return sum(moment > at - WEEK for moment in moments)

    assert counted(decision.until) < most
    assert counted(decision.until - timedelta(microseconds=1)) >= most


@pytest.mark.parametrize(
    ("text", "most", "period"),
    [
        ("3 per 7 days", 3, "7 days"),
        ("1 per day", 1, "1 day"),
        ("2 in 36h", 2, "36 hours"),
        ("100/90 days", 100, "90 days"),
        (" 5 PER 1 week ", 5, "7 days"),
        ("1 per P1D", 1, "1 day"),
    ],
)
def test_a_cap_is_written_as_one_says_it(text: str, most: int, period: str) -> None:
    found = read_cap(text)
    assert (found.most, period_words(found.period)) == (most, period)
    assert make_cap(found.most, period_words(found.period)) == found, "its words are read again"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("often", "'often' is no cap; write one like 3 per 7 days."),
        ("3", "is no cap"),
        ("-3 per 7 days", "is no cap"),
        ("0 per 7 days", "A cap is from 1 to 100 messages; 0 is not."),
        ("101 per day", "A cap is from 1 to 100 messages"),
        ("3 per blue moon", "'blue moon' is no period; write one like 7 days or 24 hours."),
        ("3 per 5 minutes", "The period of a cap is from one hour to 90 days"),
        ("3 per 91 days", "The period of a cap is from one hour to 90 days"),
        ("٣ per 7 days", "is no cap"),
        ("3 per 7 days\0", "is no"),
        ("3 per " + "9" * 100_000, "is no cap"),
    ],
)
def test_what_is_no_cap_is_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_cap(text)
    assert said in refused.value.message
    assert len(refused.value.message) < 200


def test_digests_need_the_secret_and_take_any_text() -> None:
    assert digest(b"one", "a@example.com") != digest(b"two", "a@example.com")
    assert len(digest(b"s" * 200, "\ud800" * 1_000)) == 16
