"""The wait step's field."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from caravan.steps.wait import Wait, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("3 days", timedelta(days=3)),
        ("90 minutes", timedelta(minutes=90)),
        ("1 week 2 days", timedelta(days=9)),
        ("1w2d3h4m5s", timedelta(days=9, hours=3, minutes=4, seconds=5)),
        (" 1 Hour ", timedelta(hours=1)),
        ("0 seconds", timedelta(0)),
        ("P3DT4H", timedelta(days=3, hours=4)),
        ("PT90M", timedelta(minutes=90)),
        ("P2W", timedelta(weeks=2)),
        ("3653 days", timedelta(days=3653)),
    ],
)
def test_a_duration_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert Wait(id="w", wait=text).duration == duration


@pytest.mark.parametrize(
    "text",
    ["", "3", "days", "-1 day", "1.5 hours", "3 months", "1 year", "P", "PT", "P1Y", "P1M", "3 days later", "1 day,",
     "3654 days", "999999999999 weeks", "9" * 40 + " days", "tomorrow", "3 dayss", "３ days"],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        parse_duration(text)
    with pytest.raises(ValidationError):
        Wait(id="w", wait=text)


def test_waiting_until_a_date_is_said_not_to_be_there_yet() -> None:
    with pytest.raises(ValidationError, match="not supported yet"):
        Wait.model_validate({"id": "w", "wait": {"until": "{{ renewal }}"}})


def test_only_a_wait_of_some_length_takes_time() -> None:
    assert Wait(id="w", wait="1s").takes_time
    assert not Wait(id="w", wait="0s").takes_time


def test_a_wait_is_written_as_it_was_read() -> None:
    assert Wait(id="w", wait="1 week", next="x").as_dict() == {"id": "w", "wait": "1 week", "next": "x"}
