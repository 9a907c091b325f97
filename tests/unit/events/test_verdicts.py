"""Who opened a message or followed a link: what the verdict rests on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from caravan.events.verdicts import Verdict, judge
from caravan.store.hits import Hit

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15"
CLICK = Hit(
    1, "b", "s", 1, 7, "clicked", "aaaaaaaa", "https://x.se", "GET", AT, AT - timedelta(hours=1), BROWSER, False
)
OPEN = replace(CLICK, event="opened", link=None, url=None)


def test_a_browser_against_which_nothing_speaks_is_a_human() -> None:
    assert judge(CLICK, [CLICK]).verdict is Verdict.HUMAN


@pytest.mark.parametrize(
    ("agent", "opened", "clicked"),
    [
        ("Mozilla/5.0", Verdict.MACHINE, Verdict.UNKNOWN),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
         Verdict.UNKNOWN, Verdict.MACHINE),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", Verdict.UNKNOWN, Verdict.MACHINE),
        ("Mozilla/4.0 (compatible; ms-office; MSOffice 16)", Verdict.HUMAN, Verdict.HUMAN),
        ("Mozilla/5.0 (compatible; bingbot/2.0)", Verdict.MACHINE, Verdict.MACHINE),
        ("python-requests/2.32", Verdict.MACHINE, Verdict.MACHINE),
        ("curl/8.5.0", Verdict.MACHINE, Verdict.MACHINE),
        ("", Verdict.UNKNOWN, Verdict.UNKNOWN),
        ("Something/1.0", Verdict.UNKNOWN, Verdict.UNKNOWN),
    ],
)  # fmt: skip
def test_the_user_agent_says_something(agent: str, opened: Verdict, clicked: Verdict) -> None:
    assert judge(replace(OPEN, agent=agent), []).verdict is opened
    assert judge(replace(CLICK, agent=agent), []).verdict is clicked


def test_who_comes_right_after_the_mail_was_written_is_a_machine() -> None:
    soon = replace(CLICK, written_at=AT - timedelta(seconds=10))
    assert judge(soon, []).because == "it came 10 seconds after the message was written"
    assert judge(replace(soon, written_at=AT - timedelta(seconds=11)), []).verdict is Verdict.HUMAN
    assert judge(replace(soon, written_at=None), []).verdict is Verdict.HUMAN


def test_three_links_within_a_second_are_followed_by_a_machine() -> None:
    others = [
        replace(CLICK, link=name * 8, at=AT + timedelta(seconds=late)) for name, late in (("b", 0.9), ("c", -0.5))
    ]
    assert judge(CLICK, [CLICK, *others]).verdict is Verdict.MACHINE
    assert judge(CLICK, [CLICK, others[0]]).verdict is Verdict.HUMAN
    assert judge(CLICK, [CLICK, others[0], replace(others[1], at=AT - timedelta(seconds=2))]).verdict is Verdict.HUMAN
    assert judge(CLICK, [CLICK, *(replace(each, line=8) for each in others)]).verdict is Verdict.HUMAN
    assert judge(OPEN, [OPEN, CLICK, *others]).verdict is Verdict.HUMAN  # its reader may be somebody else


def test_a_head_speaks_against_who_comes_after_it() -> None:
    head = replace(CLICK, method="HEAD", link="bbbbbbbb", at=AT - timedelta(minutes=9))
    assert judge(CLICK, [head, CLICK]).because == "a HEAD came before it"
    assert judge(CLICK, [replace(head, at=AT - timedelta(minutes=11))]).verdict is Verdict.HUMAN
    assert judge(CLICK, [replace(head, at=AT + timedelta(seconds=1))]).verdict is Verdict.HUMAN
    assert judge(head, []).verdict is Verdict.MACHINE


def test_what_is_fetched_ahead_is_a_machine_s() -> None:
    assert judge(replace(CLICK, prefetch=True), []).verdict is Verdict.MACHINE
