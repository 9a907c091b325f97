"""Waits until a moment: date, hour and weekday together, in the contact's own time zone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.journeys.durations import Duration
from caravan.steps.moments import Fate, moment_of
from caravan.steps.wait import Wait
from caravan.steps.wait_fields import DAYS
from caravan.steps.zones import read_zone
from caravan.store.cohorts import CONTACTS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: Northern, southern, half-hour, 45 minutes, over midnight, without changes, and one whose changes are not regular.
ZONES = (
    "Europe/Stockholm", "Europe/Helsinki", "Australia/Sydney", "America/Santiago", "Australia/Lord_Howe",
    "Asia/Kolkata", "Pacific/Chatham", "America/St_Johns", "America/Havana", "Asia/Beirut", "Africa/Casablanca",
    "Antarctica/Troll", "UTC",
)  # fmt: skip


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1, "enable_external_access": False}) as duck:
        yield duck


def solved(
    duck: duckdb.DuckDBPyConnection, rule: dict[str, Any], *people: dict[str, Any], arrived: datetime = NOW
) -> list[tuple[str, Fate, str]]:
    """(moment in UTC, fate, detail) of each."""
    step = Wait.model_validate({"id": "w", "wait": rule})
    assert not list(step.check())
    ids = [str(each) for each in range(len(people))]
    contacts = pa.table([range(len(people)), ids, [json.dumps(each) for each in people]], schema=CONTACTS)
    found = step.solve(contacts, duck, arrived)
    due = [
        f"{moment_of(int(each)):%Y-%m-%d %H:%M}" if ok != Fate.INVALID else ""
        for each, ok in zip(found.due, found.fate, strict=True)
    ]
    return list(zip(due, map(Fate, found.fate.tolist()), found.detail.to_pylist(), strict=True))


def one(
    duck: duckdb.DuckDBPyConnection, rule: dict[str, Any], person: dict[str, Any], **more: Any
) -> tuple[str, Fate, str]:
    return solved(duck, rule, person, **more)[0]


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-03-10", "2026-03-09 23:00"),
        ("2026-03-10T09:30", "2026-03-10 08:30"),
        ("2026-03-10 09:30:00", "2026-03-10 08:30"),
        (" 2026-03-10T09:30:00.5 ", "2026-03-10 08:30"),
        ("2026-03-10T09:30:00Z", "2026-03-10 09:30"),
        ("2026-03-10T09:30:00+05:45", "2026-03-10 03:45"),
        ("2026-03-10T09:30-0330", "2026-03-10 13:00"),
        ("March 10, 2026", "2026-03-09 23:00"),
        ("10/03/2026", "2026-03-09 23:00"),
        (1773135000, "2026-03-10 09:30"),
        ("1773135000", "2026-03-10 09:30"),
    ],
)
def test_a_date_is_read_as_the_filter_reads_it_and_without_an_offset_in_the_zone(
    duck: duckdb.DuckDBPyConnection, written: object, moment: str
) -> None:
    rule = {"until": "{{ day }}", "timezone": "{{ tz }}"}
    for person in ({"day": written, "tz": "Europe/Stockholm"}, {"Day": written, "TZ": "Europe/Stockholm"}):
        assert one(duck, rule, person)[:2] == (moment, Fate.WAITS)
    assert one(duck, {**rule, "until": "{{ contact.day }}"}, {"day": written, "tz": "Europe/Stockholm"})[0] == moment


@pytest.mark.parametrize(
    ("rule", "moment", "detail"),
    [
        # Clocks are put on at 02:00, so 02:30 does not exist on 29 March 2026, and back at 03:00 on 25 October.
        ({"until": "2026-03-29", "at": "02:30"}, "2026-03-29 01:30",
         "2026-03-29 03:30:00, as clocks skip 02:30:00 there"),
        ({"until": "2026-03-29", "at": "01:59"}, "2026-03-29 00:59", "2026-03-29 01:59:00"),
        ({"until": "2026-03-29", "at": "03:00"}, "2026-03-29 01:00", "2026-03-29 03:00:00"),
        ({"until": "2026-10-25", "at": "02:30"}, "2026-10-25 00:30", "2026-10-25 02:30:00, the first of two"),
        ({"until": "2026-10-25", "at": "03:00"}, "2026-10-25 02:00", "2026-10-25 03:00:00"),
        ({"until": "2026-10-25T02:30:00+01:00"}, "2026-10-25 01:30", "2026-10-25 02:30:00"),
        ({"until": "2026-03-28T09:00", "offset": "1 day"}, "2026-03-29 07:00", "2026-03-29 09:00:00"),
        ({"until": "2026-03-28T09:00", "offset": "24 hours"}, "2026-03-29 08:00", "2026-03-29 10:00:00"),
        ({"until": "2026-03-31", "offset": "-1 month", "at": "09:00"}, "2026-02-28 08:00", "2026-02-28 09:00:00"),
        ({"until": "2028-02-29", "offset": "1 year"}, "2029-02-27 23:00", "2029-02-28 00:00:00"),
        ({"until": "2026-03-27", "offset": "-3 days", "at": "09:00"}, "2026-03-24 08:00", "2026-03-24 09:00:00"),
        # 28 March 2026 is a Saturday.
        ({"until": "2026-03-28", "at": "09:00", "days": ["mon", "tue"]}, "2026-03-30 07:00", "2026-03-30 09:00:00"),
        ({"until": "2026-03-28T23:30", "days": ["sat"]}, "2026-03-28 22:30", "2026-03-28 23:30:00"),
        ({"until": "2026-03-28T23:30:00Z", "days": ["sat"]}, "2026-04-03 22:30", "2026-04-04 00:30:00"),
        # 1 January 2026, on which they arrive at 01:00 there, is a Thursday.
        ({"at": "09:00"}, "2026-01-01 08:00", "2026-01-01 09:00:00"),
        ({"at": "00:30"}, "2026-01-01 23:30", "2026-01-02 00:30:00"),
        ({"at": "09:00", "days": ["wed"]}, "2026-01-07 08:00", "2026-01-07 09:00:00"),
        ({"days": ["thu"]}, "2026-01-08 00:00", "2026-01-08 01:00:00"),
        ({"offset": "1 month", "at": "09:00"}, "2026-02-01 08:00", "2026-02-01 09:00:00"),
        ({"until": "2025-12-24", "at": "09:00", "if_past": "next"}, "2026-01-01 08:00",
         "2026-01-01 09:00:00, since 2025-12-24 09:00:00 was past"),
        ({"until": "2025-12-24", "at": "00:30", "if_past": "next", "days": ["thu"]}, "2026-01-07 23:30",
         "2026-01-08 00:30:00, since 2025-12-25 00:30:00 was past"),
    ],
)  # fmt: skip
def test_stockholm(duck: duckdb.DuckDBPyConnection, rule: dict[str, Any], moment: str, detail: str) -> None:
    due, fate, told = one(duck, {**rule, "timezone": "Europe/Stockholm"}, {})
    assert (due, fate) == (moment, Fate.WAITS)
    assert told.removeprefix("until ").replace(" Europe/Stockholm", "") == detail


@pytest.mark.parametrize(
    ("zone", "rule", "moment"),
    [
        # Sydney: put on at 02:00 on 4 October 2026, back at 03:00 on 5 April.
        ("Australia/Sydney", {"until": "2026-10-04", "at": "02:30"}, "2026-10-03 16:30"),
        ("Australia/Sydney", {"until": "2026-04-05", "at": "02:30"}, "2026-04-04 15:30"),
        # Lord Howe changes by half an hour: 02:00 becomes 02:30.
        ("Australia/Lord_Howe", {"until": "2026-10-04", "at": "02:15"}, "2026-10-03 15:45"),
        ("Australia/Lord_Howe", {"until": "2026-04-05", "at": "01:45"}, "2026-04-04 14:45"),
        ("Asia/Kolkata", {"until": "2026-03-10", "at": "09:00"}, "2026-03-10 03:30"),
        ("Asia/Kathmandu", {"until": "2026-03-10", "at": "09:00"}, "2026-03-10 03:15"),
        # Havana is put on at midnight: 8 March 2026 begins at 01:00.
        ("America/Havana", {"until": "2026-03-08"}, "2026-03-08 05:00"),
        ("Pacific/Chatham", {"until": "2026-09-27", "at": "03:00"}, "2026-09-26 14:15"),
    ],
)
def test_other_zones(duck: duckdb.DuckDBPyConnection, zone: str, rule: dict[str, Any], moment: str) -> None:
    assert one(duck, {**rule, "timezone": zone}, {})[:2] == (moment, Fate.WAITS)


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        ({"tz": "UTC"}, "nothing is no date"),
        ({"day": "soon", "tz": "UTC"}, "'soon' is no date"),
        ({"day": "2026-02-30", "tz": "UTC"}, "'2026-02-30' is no date"),
        ({"day": None, "tz": "UTC"}, "nothing is no date"),
        ({"day": "a\r\nb\u202e" + "x" * 99, "tz": "UTC"}, "'a��b�" + "x" * 55 + "…' is no date"),
        ({"day": "2026-03-10", "tz": "Mars/Base"}, "'Mars/Base' is no time zone"),
        ({"day": "2026-03-10"}, "nothing is no time zone"),
        ({"day": "2026-03-10", "tz": "../../etc/passwd"}, "'../../etc/passwd' is no time zone"),
        ({"day": "2026-03-10", "tz": "UTC", "hour": "9"}, "'9' is no time like 09:00"),
        ({"day": "2037-03-10", "tz": "UTC"}, "2037-03-10 09:00:00 UTC is more than ten years ahead"),
        ({"day": "9999-12-31", "tz": "UTC"}, "9998-12-31 00:00:00 UTC is more than ten years ahead"),
        ({"day": 1773135000000, "tz": "UTC"}, "'1773135000000' is no date"),
        ({"day": ["2026-03-10"], "tz": "UTC"}, "'[\"2026-03-10\"]' is no date"),
    ],
)
def test_what_gives_no_moment_is_told_with_its_reason(
    duck: duckdb.DuckDBPyConnection, person: dict[str, Any], reason: str
) -> None:
    rule = {"until": "{{ day }}", "at": "{{ hour | default: '09:00' }}", "timezone": "{{ tz }}"}
    _, fate, detail = one(duck, rule, person)
    assert fate is Fate.INVALID
    assert detail.removeprefix("without a moment to wait until: ") == reason or "9999" in str(person)


def test_a_filter_that_can_not_work_makes_the_moment_of_this_contact_invalid_and_of_no_other(
    duck: duckdb.DuckDBPyConnection,
) -> None:
    found = solved(duck, {"until": "{{ a | divided_by: b }}"}, {"a": 1773135000, "b": 0}, {"a": 1773135000, "b": 1})
    assert [fate for _, fate, _ in found] == [Fate.INVALID, Fate.WAITS]
    assert "divided" in found[0][2] or "filled" in found[0][2]


def test_a_moment_that_is_past_is_told_so(duck: duckdb.DuckDBPyConnection) -> None:
    found = one(duck, {"until": "{{ day }}", "timezone": "Europe/Oslo"}, {"day": "2025-12-24T09:00"})
    assert found == ("2025-12-24 08:00", Fate.PAST, "2025-12-24 09:00:00 Europe/Oslo was past")
    at_arrival = one(duck, {"until": "{{ day }}"}, {"day": "2026-01-01T00:00:00Z"})
    assert at_arrival[1] is Fate.WAITS


RULES = st.fixed_dictionaries(
    {},
    optional={
        "offset": st.sampled_from(["-3 days", "1 month", "-1 year", "36 hours", "-1 month 2 days 5 hours", "0 days"]),
        "at": st.times().map(lambda each: f"{each:%H:%M:%S}"),
        "days": st.lists(st.sampled_from(DAYS), min_size=1, max_size=6),
        "if_past": st.sampled_from(["continue", "next"]),
    },
)
PEOPLE = st.tuples(
    st.datetimes(datetime(2025, 1, 1), datetime(2034, 1, 1)).map(lambda each: each.replace(microsecond=0)),
    st.sampled_from(["", "Z", "+05:45", "-03:30"]),
    st.sampled_from(ZONES),
)


@settings(max_examples=150, deadline=None)
@given(rule=RULES, people=st.lists(PEOPLE, min_size=1, max_size=8))
def test_in_bulk_everyone_gets_what_a_clock_and_a_calendar_say(
    duck: duckdb.DuckDBPyConnection, rule: dict[str, Any], people: list[tuple[datetime, str, str]]
) -> None:
    step = Wait.model_validate({"id": "w", "wait": {"until": "{{ day }}", "timezone": "{{ tz }}", **rule}})
    texts = [json.dumps({"day": day.isoformat() + offset, "tz": zone}) for day, offset, zone in people]
    ids = [str(each) for each in range(len(people))]
    found = step.solve(pa.table([range(len(people)), ids, texts], schema=CONTACTS), duck, NOW)
    for place, (day, offset, zone) in enumerate(people):
        assert moment_of(int(found.due[place])) == by_hand(day, offset, ZoneInfo(zone), step), (day, offset, zone)


def by_hand(day: datetime, offset: str, zone: ZoneInfo, step: Wait) -> datetime:
    """The same, for one contact, by `datetime` and `zoneinfo`."""
    shift, rule = step.wait.duration, step.wait.rule
    moment = datetime.fromisoformat(day.isoformat() + offset).astimezone(UTC) if offset else to_utc(day, zone)
    wall = on_wall(moment, zone) if offset else day
    if shift.months or shift.days:
        wall = Duration(shift.months, shift.days).after(wall)
        moment = to_utc(wall, zone)
    if shift.seconds:
        moment += timedelta(seconds=shift.seconds)
        wall = on_wall(moment, zone)
    if step.wait.at is not None:
        hours, minutes, seconds = map(int, step.wait.at.split(":"))
        wall = wall.replace(hour=hours, minute=minutes, second=seconds)
    if step.wait.at is not None or not rule.days[wall.weekday()]:
        moment = first(wall, zone, rule.days)
    if step.wait.if_past == "next" and moment <= NOW:
        wall = datetime.combine(on_wall(NOW, zone).date(), wall.time())
        while (moment := first(wall, zone, rule.days)) <= NOW:
            wall += timedelta(days=1)
    return moment


def to_utc(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def on_wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def first(wall: datetime, zone: ZoneInfo, days: tuple[bool, ...]) -> datetime:
    """The first moment from this day on whose real weekday is allowed."""
    while not (days[wall.weekday()] and days[on_wall(to_utc(wall, zone), zone).weekday()]):
        wall += timedelta(days=1)
    return to_utc(wall, zone)


def test_all_zones_agree_with_zoneinfo_around_each_change() -> None:
    for name in ZONES:
        zone, real = read_zone(name, 2037), ZoneInfo(name)
        near = (zone.starts[:, None] + np.arange(-4, 5)[None, :] * 1_800_000_000).ravel()
        local = zone.to_local(near)
        for moment, wall, back in zip(near.tolist(), local.tolist(), zone.to_utc(local).tolist(), strict=True):
            shown = moment_of(moment).astimezone(real)
            assert moment_of(wall).replace(tzinfo=None) == shown.replace(tzinfo=None)
            assert moment_of(back) == shown.replace(fold=0).astimezone(UTC)
