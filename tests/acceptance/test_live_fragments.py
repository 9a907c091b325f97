"""What a fragment of a page's stream leaves alone: in a real browser, with a stream that the test holds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

import caravan.console
from tests.acceptance.browsing import chromium

SCRIPT = Path(caravan.console.__file__).parent / "static" / "live-fragments.js"
STREAM = """() => void (window.EventSource = class extends EventTarget {
    constructor() { super(); window.stream = this; }
    close() {}
})"""
NOTE = """() => document.addEventListener("submit", (event) => {
    event.preventDefault();
    window.sent = event.submitter.value;
})"""
PART = """<section id="part"><p>{count}</p>
<form action="/look"><label>Contact <input name="contact" value=""></label>
<button name="act" value="{act}">{act}</button></form>
<details><summary>More</summary><p>{count} more</p></details>
<ul>{rows}</ul></section>"""


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page()
        page.set_content(f"<live-fragments src='/live'>{_part()}</live-fragments>")
        page.evaluate(STREAM)
        page.add_script_tag(path=SCRIPT, type="module")
        page.wait_for_function("window.stream")
        yield page


def _part(count: int = 0, act: str = "Pause", rows: int = 1) -> str:
    return PART.format(count=count, act=act, rows="".join(f'<li><a href="/{n}">{n}</a></li>' for n in range(rows)))


def _bring(page: Page, html: str, part: str = "part") -> None:
    page.evaluate(
        """([id, html]) => window.stream.dispatchEvent(
            new MessageEvent("fragments", { data: JSON.stringify({ [id]: html }) }))""",
        [part, html],
    )


def test_what_a_person_typed_opened_and_focused_stays(page: Page) -> None:
    page.get_by_label("Contact").fill("1234")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Contact").focus()
    _bring(page, _part(count=5, rows=3))
    assert page.get_by_label("Contact").input_value() == "1234"
    assert page.evaluate("document.activeElement.name") == "contact"
    assert page.get_by_text("5 more").is_visible()
    assert page.locator("#part > p").text_content() == "5"
    assert page.locator("li").all_text_contents() == ["0", "1", "2"]
    _bring(page, _part(count=6, rows=1))
    assert page.locator("li").all_text_contents() == ["0"]


def test_a_press_that_a_fragment_comes_into_still_counts(page: Page) -> None:
    page.evaluate(NOTE)
    page.get_by_role("button", name="Pause").hover()
    page.mouse.down()
    _bring(page, _part(count=7))
    page.mouse.up()
    assert page.evaluate("window.sent") == "Pause"


def test_a_button_that_came_to_mean_something_else_is_not_pressed(page: Page) -> None:
    page.evaluate(NOTE)
    page.get_by_role("button", name="Pause").hover()
    page.mouse.down()
    _bring(page, _part(act="Resume"))
    page.mouse.up()
    assert page.evaluate("window.sent") is None
    assert page.get_by_role("button").all_text_contents() == ["Resume"]


def test_the_focus_goes_to_the_element_that_does_the_same(page: Page) -> None:
    page.get_by_role("link", name="0").focus()
    _bring(page, _part().replace("<li>", '<li><a href="/new">new</a></li><li>', 1))
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/0"
