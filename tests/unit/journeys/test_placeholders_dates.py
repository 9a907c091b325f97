"""Dates in templates: what is one, in which zone it is written, and Ruby's strftime."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.journeys.placeholders import ContactView, compile_template
from caravan.journeys.placeholders.dates import strftime
from tests.examples import many

NOW = datetime(2026, 7, 1, 22, 30, 5, 123456, tzinfo=UTC)


def fill(template: str, **properties: Any) -> str:
    return compile_template(template).render(ContactView("1", properties, NOW))


@pytest.mark.parametrize(
    ("value", "pattern", "text"),
    [
        ("now", "%Y-%m-%d %H:%M", "2026-07-01 22:30"),
        ("today", "%d.%m.%Y", "01.07.2026"),
        (" NOW ", "%s", "1782945005"),
        (1152098955, "%Y-%m-%d %T", "2006-07-05 11:29:15"),
        ("1152098955", "%c", "Wed Jul  5 11:29:15 2006"),
        (0, "%F", "1970-01-01"),
        (-86400, "%F", "1969-12-31"),
        (1152098955.5, "%L", "500"),
        ("March 14, 2016", "%b %d, %y", "Mar 14, 16"),
        ("14 March 2016 10:05", "%F %R", "2016-03-14 10:05"),
        ("Mon, 14 Mar 2016 10:05:00 +0100", "%F %T %z", "2016-03-14 10:05:00 +0100"),
        ("Mon, 14 Mar 2016 10:05:00 EST", "%T %z", "10:05:00 -0500"),
        ("14/03/2016", "%F", "2016-03-14"),
        ("03/04/2016", "%F", "2016-04-03"),
        ("2016/03/04", "%F", "2016-03-04"),
        ("31.01.2026", "%F", "2026-01-31"),
        ("March 2016", "%F", "2016-03-01"),
        ("2026-01-31", "%d.%m.%Y", "31.01.2026"),
        ("20260131", "%F", "1970-08-23"),  # digits are seconds, as in Liquid
        ("2026-01-31T09:00:00.5+01:00", "%H:%M:%S.%L %z %:z", "09:00:00.500 +0100 +01:00"),
        ("2026-01-31T09:00:00Z", "%z %Z %s", "+0000 UTC 1769850000"),
        ("2026-01-31 09:00", "%I:%M %p %l %P %-I %e %-d %-m", "09:00 AM  9 am 9 31 31 1"),
        ("2026-01-05", "%-d|%e|%05d|%_m|%^a|%^B|%#p|%10A|%-j|%y|%C", "5| 5|00005| 1|MON|JANUARY|am|    Monday|5|26|20"),
        ("2026-01-01", "%U %W %V %G %g %u %w", "00 00 01 2026 26 4 4"),
        ("2027-01-03", "%U %W %V %G %g %u %w", "01 00 53 2026 26 7 0"),
        ("2026-01-31", "%D %x %v %h%n%t%% %Q %E %", "01/31/26 01/31/26 31-JAN-2026 Jan\n\t% %Q %E %"),
        ("2026-01-31 09:00:00.123456", "%3N %6N %N %9N %L %6L", "123 123456 123456000 123456000 123 123456"),
        ("2026-01-31 21:04:09", "%r %R %X %k %+", "09:04:09 PM 21:04 21:04:09 21 Sat Jan 31 21:04:09 UTC 2026"),
        *(
            (each, "%Y", each)
            for each in ("soon", "May", "10:00", "next friday", "Friday", "12th", "3.5", "1.5.", "a" * 500)
        ),
        *((each, "%Y", each) for each in ("2026-02-30", "99/99/2016", "0000-00-00", "2016-03-14 10:00 XYZT")),
        (10**18, "%Y", "1000000000000000000"),
        ("999999999999999999", "%Y", "999999999999999999"),
        (None, "%Y", ""),
        (True, "%Y", "true"),
        ([1, None], "%Y", "[1, null]"),
        ("2026-01-31", "", "2026-01-31"),
    ],
)
def test_a_date_is_written_by_its_pattern_and_anything_else_stays_as_it_is(value: Any, pattern: str, text: str) -> None:
    assert fill(f"{{{{ a | date: '{pattern}' }}}}", a=value) == text


@pytest.mark.parametrize(
    ("value", "zone", "text"),
    [
        ("now", "Europe/Berlin", "2026-07-02 00:30 CEST"),
        ("now", "America/New_York", "2026-07-01 18:30 EDT"),
        (0, "Asia/Kolkata", "1970-01-01 05:30 IST"),
        ("2026-01-31T09:00:00Z", "Europe/Oslo", "2026-01-31 10:00 CET"),
        ("2026-01-31T09:00:00", "Europe/Oslo", "2026-01-31 10:00 CET"),
        ("2026-01-31T09:00:00-05:00", "UTC", "2026-01-31 14:00 UTC"),
        ("2026-01-31", "America/New_York", "2026-01-31 00:00 EST"),  # a day is a day in every zone
        ("2026-01-31T09:00:00+01:00", "", "2026-01-31 09:00 "),
        ("soon", "Europe/Oslo", "soon"),
    ],
)
def test_a_time_is_written_in_a_zone(value: Any, zone: str, text: str) -> None:
    assert fill(f"{{{{ a | date: '%F %R %Z', '{zone}' }}}}", a=value) == text
    assert fill("{{ a | date: p, z }}", a=value, p="%F %R %Z", z=zone or None) == text


def test_now_is_the_moment_of_the_contact_and_not_the_machines() -> None:
    assert compile_template("{{ 'now' | date: '%Y' }}").render(ContactView("1", {}, NOW.replace(year=1999))) == "1999"


def test_html_in_a_pattern_is_the_templates_own() -> None:
    template = compile_template("{{ a | date: '<b>%Y</b>' }}{{ a | date: p }}", html=True)
    text = template.render(ContactView("1", {"a": "2026-01-31", "p": "<i>%Y"}))
    assert text == "<b>2026</b>&lt;i&gt;2026"


# Where Ruby and the C library write the same.
SHARED = "%Y %m %d %H %I %M %S %j %a %A %b %B %p %y %C %e %U %W %V %G %g %u %w %D %F %T %R %r %z %h %n %t %%"


@settings(deadline=None, max_examples=many(300))
@given(
    moment=st.datetimes(
        datetime(1950, 1, 1),
        timezones=st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), timezone(timedelta(hours=-3, minutes=-30))]),
    ),
    sign=st.sampled_from(SHARED.split()),
)
def test_directives_are_those_of_the_c_library_where_ruby_has_the_same(moment: datetime, sign: str) -> None:
    assert strftime(moment, sign) == moment.strftime(sign)


@settings(deadline=None, max_examples=many(500))
@given(
    pattern=st.text(alphabet="%-_0^#:EO139aAbBcdDeFgGHIjklLmMnNpPQrRsStTuUvVwWxXyYzZ+q ", max_size=12),
    moment=st.datetimes(timezones=st.just(UTC)),
)
def test_any_pattern_gives_a_text_of_bounded_length(pattern: str, moment: datetime) -> None:
    assert len(strftime(moment, pattern)) <= 1000 * len(pattern)


@settings(deadline=None, max_examples=many(500))
@given(
    value=st.text(max_size=30)
    | st.text(alphabet="0123456789/-.: TZ+MarchApril,", max_size=30)
    | st.integers()
    | st.floats()
)
def test_any_value_is_a_date_or_stays_as_it_is(value: Any) -> None:
    text = fill("{{ a | date: '[%F]' }}|{{ a }}", a=value) if value not in (float("inf"), float("-inf")) else "[]|"
    shown, _, plain = text.partition("|")
    assert shown == plain or shown.startswith("[") or isinstance(value, str)
