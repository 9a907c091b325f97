"""Mails written in MJML."""

import pytest

from caravan.channels.mjml_page import page_of
from caravan.journeys.placeholders import ContactView, compile_template


def mail(content: str) -> str:
    return f"<mjml>\n<mj-body>\n<mj-section><mj-column>\n{content}\n</mj-column></mj-section>\n</mj-body></mjml>"


def test_it_becomes_a_page_with_the_same_placeholders() -> None:
    button = '<mj-button href="https://x.se/?a=1&amp;b={{ b | url_encode }}">{{ name }}</mj-button>'
    page = page_of(mail(f"<mj-raw>{{% if vip %}}</mj-raw>{button}<mj-raw>{{% endif %}}</mj-raw>"))
    assert page.problem is None
    shown = compile_template(page.html, html=True).render(ContactView("1", {"b": "ä&", "name": "<b>", "vip": True}))
    assert 'href="https://x.se/?a=1&amp;b=%C3%A4%26"' in shown
    assert "&lt;b&gt;" in shown
    hidden = compile_template(page.html, html=True).render(ContactView("1", {"vip": False}))
    assert "x.se" not in hidden
    assert "</html>" in hidden


def test_no_font_is_loaded_that_nobody_asked_for() -> None:
    assert "googleapis" not in page_of(mail("<mj-text>x</mj-text>")).html


@pytest.mark.parametrize(
    ("mjml", "problem"),
    [
        ("hello", "MJML begins with <mjml>"),
        (mail("<mj-txet>x</mj-txet>"), "MJML has no <mj-txet> (line 4); is mj-text meant?"),
        (mail("<mj-text>{{ a\n }}</mj-text>\n<mj-text>"), "</mj-column> in line 7 closes what is not open; <mj-text>"),
        (mail("<mj-text>\na < b</mj-text>"), "the < in line 5 begins no tag"),
        (mail("<mj-text color=red>x</mj-text>"), "the < in line 4 begins no tag: in MJML values stand in quotes"),
        (mail('<mj-include path="/etc/passwd"/>'), "mj-include in line 4 would read a file"),
        (mail('<mj-image src="x" width="{{ w }}px"/>'), "{{ w }} in line 4 is lost in MJML"),
        ("<mjml><mj-body>", "<mj-body> of line 1 is not closed"),
        (mail("<div>" * 5_000 + "</div>" * 5_000), "more than 400 tags stand in one another"),
    ],
)  # fmt: skip
def test_what_mjml_would_pass_over_is_told_with_its_line(mjml: str, problem: str) -> None:
    assert problem in (page_of(mjml).problem or "")
