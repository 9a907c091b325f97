"""The picture of a journey."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from caravan.channels.registry import STEP_TYPES
from caravan.console.graph import Counts, draw, fragments
from caravan.journeys.definition import load_journey
from caravan.journeys.model import Journey

HOSTILE = '"><img src=x onerror=alert(1)>'


def journey(*steps: dict[str, Any], name: str = "Spring sale") -> Journey:
    return load_journey({"journey": 1, "name": name, "steps": list(steps)}, STEP_TYPES)


def email(id: str, subject: str, next: str | None = None) -> dict[str, Any]:
    content = {"from": "a@example.com", "to": "b@example.com", "subject": subject, "text": "Hello"}
    return {"id": id, "email": content} | ({"next": next} if next else {})


SALE = journey(
    {"id": "sort", "split": [{"if": "ltv >= 100 and city in ('Oslo', 'Bergen')", "to": "offer"}, {"else": "pause"}]},
    email("offer", "For you", "pause"),
    {"id": "pause", "wait": "3 days", "next": "arms"},
    {"id": "arms", "ab": [{"weight": 3, "to": "sort"}, {"weight": 1, "to": "end"}]},
    {"id": "end", "exit": {}},
)


def picture(html: str) -> ET.Element:
    """The picture, which is XML as well."""
    found = re.search(r"<svg class=\"graph-picture\".*?</svg>", html, re.DOTALL)
    assert found
    return ET.fromstring(found[0])


def texts(html: str, kind: str) -> list[str]:
    return [each.text or "" for each in picture(html).iter("text") if each.get("class") == kind]


def test_each_step_is_there_with_id_type_and_what_it_does() -> None:
    html = draw(SALE)
    assert texts(html, "id") == ["sort", "offer", "pause", "arms", "end"]
    assert texts(html, "kind") == ["split", "email", "wait", "ab", "exit"]
    assert texts(html, "what") == ["2 ways", "For you", "3 days", "2 arms by chance", "the journey ends here"]


def test_each_way_is_there_with_who_takes_it_and_one_that_leads_back_is_marked() -> None:
    drawn = picture(draw(SALE))
    ways = [each.get("class") for each in drawn.iter("path") if (each.get("class") or "").startswith("way")]
    assert ways == ["way", "way", "way", "way", "way back", "way"]
    captions = [(each[0].text, each[2].text) for each in drawn.iter("g") if each.get("class") == "caption"]
    assert captions == [
        ("if ltv >= 100 and city in ('Oslo', 'Bergen')", "if ltv >= 100 and city in…"),
        ("else", "else"),
        ("75 %", "75 %"),
        ("25 %", "25 %"),
    ]


def test_the_list_says_the_same_in_words() -> None:
    html = draw(SALE)
    listed = " ".join(re.sub(r"<[^>]+>", " ", html[html.index("<ol") :]).split())
    assert "sort split 2 ways if ltv &gt;= 100 and city in (&#39;Oslo&#39;, &#39;Bergen&#39;): to offer" in listed
    assert "arms ab 2 arms by chance 75 %: to sort 25 %: to end end exit" in listed
    assert 'role="img" aria-label="The journey “Spring sale” in 5 steps;' in html


def test_counts_lie_over_the_picture_and_come_anew_without_it() -> None:
    counts = Counts(steps=(("sort", 12345, 0), ("offer", 2345, 1000)), ways=(("sort", 0, 2345),))
    html, changed = draw(SALE, counts), fragments(SALE, counts)
    assert changed.keys() == {"graph-counts", "graph-list"}
    assert all(each in html for each in changed.values())
    assert re.findall(r">([^<>]+)</text>", changed["graph-counts"]) == [
        "12,345 arrived",
        "2,345 arrived",
        "1,000 here now",
        "0 arrived",
        "0 arrived",
        "0 arrived",
        "2,345",
    ]
    assert picture(draw(SALE, Counts())).attrib == picture(html).attrib


def test_a_graph_without_counts_has_no_place_for_them() -> None:
    assert 'id="graph-counts"' not in draw(SALE)
    assert float(picture(draw(SALE)).get("height", 0)) < float(picture(draw(SALE, Counts())).get("height", 0))


def test_two_graphs_on_a_page_share_no_id() -> None:
    ids = [set(re.findall(r' id="([^"]+)"', draw(SALE, Counts(), name))) for name in ("old", "new")]
    assert ids[0] and not ids[0] & ids[1]


def test_hostile_names_stay_text() -> None:
    html = draw(journey(email("offer", HOSTILE), name=HOSTILE))
    assert "<img" not in html
    assert texts(html, "what") == ['"><img src=x onerror=alert…']


def test_a_step_that_leads_to_itself_and_a_journey_of_one_step_are_drawn() -> None:
    html = draw(journey({"id": "pause", "wait": "3 days", "next": "pause"}))
    assert [each.get("class") for each in picture(html).iter("path")][1:] == ["way back"]
    assert texts(draw(journey({"id": "end", "exit": {}})), "id") == ["end"]


def test_wide_characters_take_the_room_of_two() -> None:
    (shown,) = texts(draw(journey(email("offer", "春のセール" * 5))), "what")
    assert shown == "春のセール" * 2 + "春のセ…"


def test_no_style_stands_in_the_picture() -> None:
    assert "style" not in draw(SALE, Counts())


def test_a_way_that_leads_round_others_stays_inside_the_picture() -> None:
    steps = [{"id": f"s{index}", "wait": "1 day", "next": f"s{index + 1}"} for index in range(5)]
    split = {"id": "s5", "split": [{"if": "a = 1", "to": "s0"}, {"if": "a = 2", "to": "s2"}]}
    drawn = picture(draw(journey(*steps, split)))
    places = [
        float(each)
        for way in drawn.iter("path")
        for each in re.findall(r"[MLC ](-?[\d.]+) -?[\d.]+", way.get("d") or "")
    ]
    assert min(places) >= 0
    assert max(places) <= float(drawn.get("width") or 0)


def test_the_layout_writes_no_lines_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    draw(
        journey(
            {"id": "once", "wait": "1 day", "next": "more"},
            {"id": "more", "wait": "1 day", "next": "end"},
            email("end", "x"),
        )
    )
    assert not caplog.records
