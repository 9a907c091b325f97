"""The wait step's field."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from caravan.channels.registry import STEP_TYPES
from caravan.errors import InvalidDefinition
from caravan.journeys.definition import as_dict, load_journey, read_journey
from caravan.steps.wait import Wait, parse_duration

NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wait(**fields: object) -> Wait:
    return Wait.model_validate({"id": "w", "wait": fields})


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
    assert Wait(id="w", wait=text).due(NOW) == NOW + duration


@pytest.mark.parametrize(
    "text",
    ["", "3", "days", "-1 day", "1.5 hours", "P", "PT", "3 days later", "11 years", "121 months", "1 day,",
     "3654 days", "999999999999 weeks", "9" * 40 + " days", "tomorrow", "3 dayss", "３ days"],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        parse_duration(text)
    with pytest.raises(ValidationError):
        Wait(id="w", wait=text)


@pytest.mark.parametrize(
    ("text", "arrived", "due"),
    [
        ("1 month", "2026-01-31", "2026-02-28"),
        ("1 month", "2028-01-31", "2028-02-29"),
        ("1 month 1 day", "2026-01-31", "2026-03-01"),
        ("1 year", "2028-02-29", "2029-02-28"),
        ("4 years", "2028-02-29", "2032-02-29"),
        ("P1Y2M3W4DT5H6M7S", "2026-12-31", "2028-03-25T05:06:07"),
        ("18 months", "2026-08-31", "2028-02-29"),
    ],
)
def test_months_and_years_go_by_the_calendar(text: str, arrived: str, due: str) -> None:
    assert Wait(id="w", wait=text).due(utc(arrived)) == utc(due)
    with pytest.raises(ValueError, match="no fixed length"):
        parse_duration(text)


def test_only_a_wait_of_some_length_takes_time() -> None:
    assert Wait(id="w", wait="1s").takes_time
    assert not Wait(id="w", wait="0s").takes_time
    assert not wait(until="{{ renewal }}").takes_time
    assert not wait(until="{{ renewal }}", if_past="exit").takes_time, "one without a date would run in a circle"
    assert wait(until="{{ renewal }}", if_past="exit", invalid="exit").takes_time
    assert wait(until="{{ renewal }}", if_past="next", invalid="exit").takes_time
    assert wait(at="09:00").takes_time
    assert not wait(at="09:00", timezone="{{ tz }}").takes_time


def test_a_wait_is_written_as_it_was_read() -> None:
    assert Wait(id="w", wait="1 week", next="x").as_dict() == {"id": "w", "wait": "1 week", "next": "x"}


def test_a_rule_is_written_as_it_was_read() -> None:
    rule = {"until": "{{ renewal }}", "offset": "-3 days", "at": "09:00", "days": ["mon", "fri"], "if_past": "next"}
    assert wait(**rule).as_dict() == {"id": "w", "wait": rule}
    journey = read_journey(
        "journey: 1\nsteps:\n- id: w\n  wait: {until: '{{ a }}', days: [Monday], at: 9:30}\n", STEP_TYPES
    )
    assert load_journey(as_dict(journey), STEP_TYPES) == journey


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("{until: soon}", "w.wait.until: 'soon' is no date"),
        ("{until: '{{ a'}", "w.wait.until: the template can't be read"),
        ("{until: '{{ a }}', offset: 3 dys}", "w.wait.offset: '3 dys' is no offset like -3 days"),
        ("{until: '{{ a }}', offset: 11 years}", "w.wait.offset: '11 years' is longer than ten years"),
        ("{until: '{{ a }}', at: '25:00'}", "w.wait.at: '25:00' is no time like 09:00"),
        ("{until: '{{ a }}', timezone: Europe/Stokholm}", 
         "w.wait.timezone: 'Europe/Stokholm' is no time zone; did you mean Europe/Stockholm?"),
        ("{until: '{{ a }}', days: [mon, funday]}", "w.wait.days[1]: 'funday' is no day; there are mon, tue"),
        ("{until: '{{ a }}', days: []}", "w.wait.days: no day is left"),
        ("{until: '{{ a }}', if_past: stop}", "w.wait.if_past: 'stop' is none of continue, exit, next"),
        ("{until: '{{ a }}', invalid: next}", "w.wait.invalid: 'next' is none of continue, exit"),
        ("{until: '{{ a }}', zone: UTC}", "w.wait.zone: unknown key 'zone'"),
        ("{offset: -3 days}", "w.wait.offset: without until"),
        ("{at: '09:00', if_past: next}", "w.wait.if_past: without until"),
        ("{timezone: UTC}", "w.wait: a wait needs a duration, until, at or days"),
        ("{untl: '{{ a }}'}", "w.wait.untl: unknown key 'untl'; did you mean 'until'?"),
        ("[3 days]", "w.wait: a wait is a duration like 3 days, or {until: …}"),
        ("3 dayz", "w.wait: '3 dayz' is no duration like 3 days"),
    ],
)  # fmt: skip
def test_each_mistake_in_a_rule_is_told_with_its_place(fields: str, told: str) -> None:
    with pytest.raises(InvalidDefinition) as error:
        read_journey(f"journey: 1\nsteps:\n- id: w\n  wait: {fields}\n", STEP_TYPES)
    assert any(str(each).startswith(f"line 4: {told}") for each in error.value.problems), error.value.problems


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"until": "{{ renewal }}"}, "until {{ renewal }}"),
        ({"until": "{{ renewal }}", "offset": "-3 days", "at": "09:00"}, "until 3 days before {{ renewal }} at 09:00"),
        ({"until": "{{ renewal }}", "offset": "1 month", "days": ["mon"]}, "until 1 month after {{ renewal }} on mon"),
        ({"at": "09:00", "days": ["mon", "tue"]}, "until the next mon, tue at 09:00"),
        ({"at": "09:00"}, "until the next day at 09:00"),
        ({"offset": "2 days", "at": "09:00"}, "until 2 days later at 09:00"),
        ({"offset": "2 days"}, "2 days"),
    ],
)
def test_a_rule_is_told_in_few_words(rule: dict[str, object], words: str) -> None:
    assert wait(**rule).summary == words
