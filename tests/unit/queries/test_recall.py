"""What a recall is said to do before it is confirmed."""

from hypothesis import given
from hypothesis import strategies as st

from caravan.queries.recall import Forecast


def test_the_sentence_names_who_is_stopped_and_what_stays() -> None:
    told = Forecast(entered=5000, standing=1203, sent=4100, settled=0).sentence
    assert told == (
        "Recall stops 1,203 of 5,000 contacts where they stand; they get nothing more. 3,797 contacts have finished "
        "the journey, and 4,100 messages were sent already; a recall does not take these back."
    )


def test_before_anyone_has_entered_none_will() -> None:
    assert "starts none" in Forecast(entered=0, standing=0, sent=0, settled=0).sentence


@given(st.integers(1, 10**9), st.data())
def test_whoever_entered_is_either_stopped_or_has_finished(entered: int, data: st.DataObject) -> None:
    standing = data.draw(st.integers(0, entered))
    told = Forecast(entered, standing, sent=1, settled=standing)
    assert told.standing + told.finished == entered
    assert (f"{standing:,} of {entered:,}" if standing else f"All {entered:,}") in told.sentence
    assert ("dealt with" in told.sentence) is (standing > 0)
