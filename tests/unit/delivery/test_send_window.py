"""What a journey file can say of hours and expiry, and the sentences about what it can't."""

from datetime import UTC, datetime, timedelta

import pytest

from caravan.channels.registry import STEP_TYPES
from caravan.delivery.expiry import parse_expiry
from caravan.errors import InvalidDefinition
from caravan.journeys.check import check_journey
from caravan.journeys.definition import as_dict, load_journey, read_journey
from caravan.journeys.model import Step

MAIL = """journey: 1
steps:
  - id: mail
    email: {from: shop@example.com, to: "{{ to }}", subject: Hello, text: Hello}
"""


def step(rest: str) -> Step:
    return read_journey(MAIL + rest, STEP_TYPES).step("mail")


def problems(rest: str) -> dict[int, str]:
    with pytest.raises(InvalidDefinition) as refused:
        step(rest)
    return {each.line: each.message for each in refused.value.problems}


def test_hours_stand_beside_or_below_the_kind_and_come_back_from_what_is_stored() -> None:
    window = '{from: 22:00, to: "02:00", timezone: "{{ tz }}", days: [Fri, sat], holidays: de-by, otherwise: skip}'
    beside = read_journey(MAIL + f"    send_window: {window}\n    expires: 2 days\n", STEP_TYPES)
    below = read_journey(
        MAIL.replace("text: Hello}", f"text: Hello, send_window: {window}, expires: 2 days}}"), STEP_TYPES
    )
    assert beside == below
    assert load_journey(as_dict(beside), STEP_TYPES) == beside
    hours = beside.step("mail").send_window.hours  # type: ignore[attr-defined]
    assert (hours.begins, hours.ends) == (22 * 60, 26 * 60)
    assert hours.days == {4, 5}
    assert hours.holidays == "DE-BY"
    assert hours.skips
    assert hours.spread == timedelta(minutes=15)


@pytest.mark.parametrize(
    ("window", "line", "message"),
    [
        ("{from: '8', to: '21:00'}", 5, "'8' is no time of day like 08:00; the last one is 24:00"),
        ("{from: '25:00', to: '21:00'}", 5, "'25:00' is no time of day"),
        ("{from: '08:00'}", 5, "from and to come together"),
        (
            "{from: '08:00', to: '08:00'}",
            5,
            "from 08:00 to 08:00 is no part of a day; a whole one is from 00:00 to 24:00",
        ),
        ("{from: '24:00', to: '08:00'}", 5, "is no part of a day"),
        ("{timezone: '{{ tz }}'}", 5, "this closes nothing; say from and to, days or holidays"),
        ("{days: []}", 5, "days is empty, so nothing would ever be sent"),
        ("{days: mon}", 5, "this must be a list"),
        ("{days: [monday]}", 5, "'monday' is no day; did you mean 'mon'?"),
        ("{days: [mon], timezone: Europe/Stokholm}", 5, "did you mean 'Europe/Stockholm'?"),
        ("{days: [mon], default_timezone: '{{ tz }}'}", 5, "the same for everyone"),
        ("{holidays: Sweden}", 5, "'Sweden' is no country whose public holidays are known"),
        ("{holidays: '{{ country }}'}", 5, "the country is the same for everyone"),
        ("{holidays: DE-XX}", 5, "'XX' is no part of DE with holidays of its own; there are BB, BE"),
        ("{holidays: SE-AB}", 5, "'AB' is no part of SE with holidays of its own; it has none"),
        ("{days: [mon], otherwise: later}", 5, "'wait' or 'skip'"),
        ("{days: [mon], spread: 2 days}", 5, "'2 days' is longer than 12 hours"),
        ("{days: [mon], spred: 2 hours}", 5, "unknown key 'spred'; did you mean 'spread'?"),
        ("at night", 5, "this must have keys"),
    ],
)
def test_what_is_wrong_with_hours_is_told_with_its_line(window: str, line: int, message: str) -> None:
    assert message in problems(f"    send_window: {window}\n")[line]


def test_each_key_of_hours_has_its_own_line() -> None:
    found = problems("    send_window:\n      from: x\n      to: y\n      days: [mon, x]\n")
    assert sorted(found) == [6, 7, 8]


def test_a_zone_that_no_contact_may_have_is_found_where_it_is_written() -> None:
    found = check_journey(MAIL + '    send_window:\n      days: [mon]\n      timezone: "{{ tz }}"\n', STEP_TYPES)
    assert [(each.line, each.where) for each in found.uses if each.names == ("tz",)] == [
        (7, "mail.send_window.timezone")
    ]


def test_a_step_that_sends_nothing_has_neither() -> None:
    with pytest.raises(InvalidDefinition, match="unknown key 'expires'"):
        read_journey("journey: 1\nsteps: [{id: a, wait: 3 days, expires: 2 days}]", STEP_TYPES)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2 days", timedelta(days=2)),
        ("PT36H", timedelta(hours=36)),
        ("2026-12-01T00:00:00Z", datetime(2026, 12, 1, tzinfo=UTC)),
        (" 2026-12-01T01:00+01:00 ", datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_duration_or_a_moment(text: str, found: object) -> None:
    assert parse_expiry(text) == found


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "2026-12-01", "2026-12-01T00:00:00", "0 days", "20261201", "11 years", "x" * 10_000, "2026-W01"],
)
def test_what_is_neither_is_refused_with_both_named(text: str) -> None:
    with pytest.raises(ValueError, match="2026-12-01T00:00:00Z") as refused:
        parse_expiry(text)
    assert len(str(refused.value)) < 200


def test_an_expiry_that_is_none_has_its_line() -> None:
    assert "is no time" in problems("    expires: tomorrow\n")[5]
