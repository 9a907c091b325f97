"""Style sheets written into tags."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.inlined import inlined

_STYLE = re.compile(r"""\s+style=("[^"]*"|'[^']*')""", re.IGNORECASE)
SHEET = "<style>p{color:red} .a{top:1px !important} @media (max-width:9px){p{color:blue}} a:hover{color:green}</style>"


def test_a_rule_stands_in_the_tags_and_the_sheet_stays_as_it_is() -> None:
    page = inlined(f'<html><head>{SHEET}</head><body><p class="a">x</p><b>y</b></body></html>')
    assert '<p class="a" style="color: red;top: 1px !important">x</p><b>y</b>' in page
    assert SHEET in page


@pytest.mark.parametrize(
    ("tag", "becomes"),
    [
        ('<p style="color:blue">', '<p style="color: red; color:blue">'),
        ("<p style='font:\"A\"'>", "<p style='color: red; font:\"A\"'>"),
        ("<p style=top:1px>", '<p style="color: red; top:1px">'),
        ("<p style>", '<p style="color: red">'),
        ('<P STYLE="{{ whole }}">', '<P STYLE="color: red; {{ whole }}">'),
        ('<p style="{% if x %}top:1px{% endif %}">', '<p style="color: red; {% if x %}top:1px{% endif %}">'),
        ('<p {% if x %}style="a:b"{% endif %}>', '<p {% if x %}style="a:b"{% endif %}>'),  # its own would not win
        ('<p title="a > b" {{ more }}>', '<p title="a > b" {{ more }} style="color: red">'),
        ("<p/>", '<p style="color: red"/>'),
    ],
)
def test_what_a_tag_says_itself_wins_and_stays_octet_for_octet(tag: str, becomes: str) -> None:
    assert inlined(f"<style>p{{color:red}}</style>{tag}x") == f"<style>p{{color:red}}</style>{becomes}x"


def test_placeholders_in_sheets_come_into_the_tags() -> None:
    rules = "color:{{ brand | default: 'red' }};width:{{ n }}%;font-size:{{ n }}px;background:url(/{{ i }}.png)"
    sheet = f"<style>p{{{rules}}}</style>"
    style = "color: {{ brand | default: 'red' }};width: {{ n }}%;font-size: {{ n }}px;background: url(/{{ i }}.png)"
    assert inlined(f"{sheet}<p>{{{{ x }}}}</p>") == f'{sheet}<p style="{style}">{{{{ x }}}}</p>'


@pytest.mark.parametrize(
    "sheet",
    [
        '<style media="print">p{color:red}</style>',
        '<style media="(max-width:600px)">p{color:red}</style>',
        "{% if dark %}<style>p{color:red}</style>{% endif %}",
        "<style>p{ {% if x %}color:red{% endif %} }</style>",
        "<!-- <style>p{color:red}</style> -->",
        '<link rel="stylesheet" href="http://127.0.0.1:9/a.css">',
        '<link rel="stylesheet" href="file:///etc/passwd">',
        '<style>@import url("http://127.0.0.1:9/a.css");</style>',
        "<style>p{color</style>",
    ],
)
def test_what_does_not_always_hold_or_lies_elsewhere_is_left_alone(sheet: str) -> None:
    page = f"<html><head>{sheet}</head><body><p>x</p></body></html>"
    assert inlined(page) == page


def test_rows_in_a_loop_keep_their_place_and_what_outlook_reads_stays() -> None:
    page = (
        "<style>td{top:0}</style><!--[if mso]><table><tr><td><![endif]--><table>{% for i in rows %}<tr>"
        "<td>{{ i }}</td></tr>{% endfor %}</table>{% raw %}<td>{{ no }}</td>{% endraw %}"
    )
    assert inlined(page) == page.replace("<td>{{ i }}", '<td style="top: 0">{{ i }}')


def test_a_page_that_would_end_the_process_is_left_alone() -> None:
    page = "<style>p{color:red}</style>" + "<div>" * 30_000 + "<p>x"
    assert inlined(page) == page


@given(
    st.lists(
        st.sampled_from(
            [SHEET, "<p>", "</p>", "<p class=a>", '<p style="a:b">', "<table>", "<td class='a'>", "{{ x }}",
             "{% if y %}", "{% endif %}", "<!--", "-->", "<", ">", "'", '"', "<p class={{ z }}>",
             "</table>", "ä&amp;\r\n", "zq0q1z", "<p title='{{ \"it's\" }}'>", "<style>", "</style>", "<a href=x/>",
             "<svg><p>"]
        )
    ).map("".join)
)  # fmt: skip
def test_nothing_but_style_attributes_ever_changes(page: str) -> None:
    assert _STYLE.sub("", inlined(page)) == _STYLE.sub("", page)
