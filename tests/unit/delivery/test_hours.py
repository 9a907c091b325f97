"""Hours in which a step sends, by the clock of a zone: over midnight, at changes of summer time, on holidays."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.delivery.hours import Hours, Opening, moment
from caravan.delivery.zones import zone_of

STOCKHOLM = ZoneInfo("Europe/Stockholm")
EVERY_DAY = frozenset(range(7))


def hours(begins: str, ends: str, days: frozenset[int] = EVERY_DAY, holidays: str | None = None) -> Hours:
    first, last = (int(each[:2]) * 60 + int(each[3:]) for each in (begins, ends))
    return Hours(first, last if last > first else last + 1440, days, holidays, "UTC", False, timedelta(minutes=15))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opening(wanted: Hours, now: str, zone: tzinfo = STOCKHOLM) -> tuple[str, str]:
    found = wanted.opening(utc(now), zone)
    assert found is not None
    return tuple(f"{each:%m-%d %H:%M}" for each in (found.begins, found.ends))  # type: ignore[return-value]


def test_within_the_hours_the_opening_of_today_and_after_them_the_one_of_tomorrow() -> None:
    day = hours("08:00", "21:00")
    assert opening(day, "2026-01-15 06:59") == ("01-15 07:00", "01-15 20:00")
    assert opening(day, "2026-01-15 07:00") == ("01-15 07:00", "01-15 20:00")
    assert opening(day, "2026-01-15 19:59:59") == ("01-15 07:00", "01-15 20:00")
    assert opening(day, "2026-01-15 20:00") == ("01-16 07:00", "01-16 20:00"), "the closing minute is closed"


def test_hours_past_midnight_belong_to_the_day_on_which_they_begin() -> None:
    night = hours("22:00", "02:00", days=frozenset({4}))  # Friday
    assert opening(night, "2026-01-16 23:30") == ("01-16 21:00", "01-17 01:00")
    assert opening(night, "2026-01-17 00:59") == ("01-16 21:00", "01-17 01:00"), "Saturday, but of Friday's evening"
    assert opening(night, "2026-01-17 22:00") == ("01-23 21:00", "01-24 01:00")


def test_where_summer_time_begins_a_time_that_is_skipped_is_the_moment_of_the_skip() -> None:
    """Stockholm, 2026-03-29: 01:59:59 is followed by 03:00."""
    assert opening(hours("02:30", "05:00"), "2026-03-29 00:00") == ("03-29 01:00", "03-29 03:00")
    assert opening(hours("01:00", "02:30"), "2026-03-29 00:30") == ("03-29 00:00", "03-29 01:00")
    assert opening(hours("02:10", "02:50"), "2026-03-28 12:00") == ("03-30 00:10", "03-30 00:50"), "nothing is left"
    assert opening(hours("08:00", "21:00"), "2026-03-28 20:00") == ("03-29 06:00", "03-29 19:00")


def test_where_summer_time_ends_a_time_that_comes_twice_is_the_first() -> None:
    """Stockholm, 2026-10-25: 02:59:59 is followed by 02:00 once more."""
    assert opening(hours("02:30", "05:00"), "2026-10-25 00:00") == ("10-25 00:30", "10-25 04:00")
    assert opening(hours("01:00", "02:30"), "2026-10-25 00:00") == ("10-24 23:00", "10-25 00:30")
    assert opening(hours("01:00", "02:30"), "2026-10-25 00:45") == ("10-26 00:00", "10-26 01:30"), "not a second time"
    assert opening(hours("08:00", "21:00"), "2026-10-24 20:00") == ("10-25 07:00", "10-25 20:00")


@pytest.mark.parametrize(
    ("zone", "now", "begins", "ends"),
    [
        ("Asia/Kolkata", "2026-07-01 00:00", "07-01 02:30", "07-01 15:30"),
        ("+05:45", "2026-07-01 00:00", "07-01 02:15", "07-01 15:15"),
        ("Australia/Lord_Howe", "2026-10-03 20:00", "10-03 21:00", "10-04 10:00"),  # half an hour forward that day
        ("Australia/Sydney", "2026-10-03 20:00", "10-03 21:00", "10-04 10:00"),  # summer time begins in October
        ("Australia/Sydney", "2026-04-04 20:00", "04-04 22:00", "04-05 11:00"),  # and ends in April
        ("Pacific/Apia", "2011-12-30 08:00", "12-30 18:00", "12-31 07:00"),  # a day that was left out as a whole
        ("Pacific/Kiritimati", "2026-07-01 00:00", "06-30 18:00", "07-01 07:00"),
    ],
)
def test_zones_with_half_hours_in_the_south_and_at_the_date_line(zone: str, now: str, begins: str, ends: str) -> None:
    found = zone_of(zone)
    assert found is not None
    assert opening(hours("08:00", "21:00"), now, found) == (begins, ends)


def test_on_a_day_that_was_left_out_nothing_opens() -> None:
    """Samoa had no 2011-12-30."""
    apia = ZoneInfo("Pacific/Apia")
    assert moment(date(2011, 12, 30), 480, apia) == moment(date(2011, 12, 31), 0, apia)


def test_days_and_public_holidays_are_closed() -> None:
    working = hours("08:00", "17:00", frozenset(range(5)), "SE")
    assert opening(working, "2026-04-02 16:00") == ("04-07 06:00", "04-07 15:00"), "Good Friday to Easter Monday"
    assert opening(working, "2026-12-24 17:00") == ("12-28 07:00", "12-28 16:00")
    assert opening(hours("00:00", "24:00", holidays="SE"), "2026-12-26 22:59") == ("12-26 23:00", "12-27 23:00")
    bavaria, hamburg = (hours("08:00", "17:00", holidays=each) for each in ("DE-BY", "DE-HH"))
    berlin = ZoneInfo("Europe/Berlin")
    assert opening(bavaria, "2026-01-06 00:00", berlin) == ("01-07 07:00", "01-07 16:00"), "Epiphany"
    assert opening(hamburg, "2026-01-06 00:00", berlin) == ("01-06 07:00", "01-06 16:00")


def test_hours_that_never_open_are_none() -> None:
    assert hours("08:00", "17:00", frozenset()).opening(utc("2026-01-01"), UTC) is None


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 1)),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.sets(st.integers(0, 6), min_size=1),
    st.sampled_from(["Europe/Stockholm", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "UTC"]),
)
def test_who_is_in_an_opening_reads_a_time_within_the_hours(
    at: datetime, first: int, length: int, days: set[int], name: str
) -> None:
    """Where the clocks are not changed within two days, as a look at the clock on the wall would say."""
    zone, now = ZoneInfo(name), at.replace(tzinfo=UTC)
    offsets = {(now + timedelta(hours=each)).astimezone(zone).utcoffset() for each in range(-50, 51, 2)}
    if len(offsets) > 1:
        return
    wanted = Hours(first, first + length, frozenset(days), None, "UTC", False, timedelta(0))
    wall = now.astimezone(zone)
    minute = (wall.hour * 60 + wall.minute) + (wall.second + wall.microsecond / 1e6) / 60
    in_today = wall.weekday() in days and first <= minute < first + length
    of_yesterday = (wall - timedelta(days=1)).weekday() in days and minute + 1440 < first + length
    found = wanted.opening(now, zone)
    assert isinstance(found, Opening)
    assert (found.begins <= now < found.ends) == (in_today or of_yesterday)
    assert now < found.ends


def test_the_next_opening_is_never_one_that_begins_sooner_by_another_count() -> None:
    """Every minute around both changes of a year, against a search minute by minute."""
    wanted = hours("01:15", "02:45")
    for start in ("2026-03-28 20:00", "2026-10-24 20:00"):
        last = None
        for ahead in range(0, 36 * 60, 7):
            now = utc(start) + timedelta(minutes=ahead)
            found = wanted.opening(now, STOCKHOLM)
            assert found is not None
            assert found.begins < found.ends
            assert now < found.ends
            assert last is None or found.begins >= last
            last = found.begins


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Europe/Stockholm", True),
        (" europe/stockholm ", True),
        ("+05:30", True),
        ("UTC-3", True),
        ("-1200", True),
        ("+15:00", False),
        ("+05:75", False),
        ("", False),
        ("Mars/Olympus", False),
        ("../../etc/passwd", False),
        ("/etc/localtime", False),
        ("Europe", False),
        ("Europe/Stockholm\0", False),
        ("x" * 100_000, False),
        ("٠٥:٣٠", False),
    ],
)
def test_only_names_of_zones_and_offsets_are_zones(name: str, known: bool) -> None:
    assert (zone_of(name) is not None) is known
