"""The editor of a journey as a person uses it: in a real browser, at a running system."""

import httpx
import pytest
from playwright.sync_api import Browser, FrameLocator

from caravan.client import CallFailed
from tests.acceptance.browsing import Reader, reader
from tests.acceptance.conftest import Up

LETTER = """
journey: 1
name: Letter
steps:
  - id: letter
    email:
      from: Shop <shop@example.com>
      to: "{{ emailAddress }}"
      subject: "Hello {{ firstname }}"
      text: "Dear {{ firstname }}"
      html: '<h1 style="color: rgb(1, 2, 3)">Dear {{ firstname }}</h1><script>document.title = "acted"</script>'
    next: days
  - id: days
    wait: 3 days
"""
OTHER = LETTER.replace("journey: 1", "journey: 2")
CONTACT = '{"id": "a", "properties": {"emailAddress": "ana@example.org", "firstname": "Ana"}}'


@pytest.fixture(scope="module")
def running(console: Up) -> Up:
    with console.client() as client:
        client.publish(1, LETTER)
        client.publish(2, OTHER)
    return console


def _open(person: Reader, running: Up, journey: int = 1) -> None:
    person.enter(running)
    person.go(f"/console/{running.told['customer']}/journeys/{journey}/edit")


def _frame(person: Reader, name: str) -> FrameLocator:
    return person.page.frame_locator(f'iframe[name="{name}"]')


def test_a_journey_is_written_tried_and_published(browser: Browser, running: Up) -> None:
    with reader(browser, running.url) as person:
        _open(person, running)
        text = person.page.get_by_label("Definition")
        text.fill(LETTER.replace("next: days", "next: dais"))
        person.page.locator("#problems .wrong", has_text="there is no step 'dais'; did you mean 'days'?").wait_for()
        person.page.locator("#L12.problem").wait_for()
        person.page.get_by_role("link", name="Line 12").click()
        person.page.keyboard.press("Shift+End")
        chosen = text.evaluate("each => each.value.slice(each.selectionStart, each.selectionEnd)")
        assert chosen.strip() == "next: dais"
        text.fill(LETTER.replace("Dear {{ firstname }}</h1>", "Liebe {{ firstname }}</h1>"))
        person.page.get_by_text("can be published").wait_for()
        person.page.get_by_label("Contact (JSON)").fill(CONTACT)
        person.press("Preview")
        for name in ("Desktop-letter", "Phone-letter"):
            heading = _frame(person, name).get_by_role("heading", name="Liebe Ana")
            heading.wait_for()
            assert heading.evaluate("each => getComputedStyle(each).color") == "rgb(1, 2, 3)"
        person.press("Send letter to me")
        person.sees("kept in the sandbox")
        person.press("Publish")
        person.sees("as version 2?")
        person.press("Confirm")
        person.sees("Version 2 is published")
        assert [each for each in person.complaints if "sandbox" not in each] == []
    token = {"Authorization": f"Bearer {running.told['token']}"}
    published = httpx.get(f"{running.url}/{running.told['customer']}/journeys/1", headers=token)
    assert (published.headers["caravan-version"], "Liebe" in published.text) == ("2", True)

    with running.client() as client:
        properties = {"emailAddress": "ana@example.org", "firstname": "Ana"}
        assert client.send_test(1, "letter", "me@example.com", "a", properties).result == "sent"
        with pytest.raises(CallFailed, match="published meanwhile"):
            client.publish(1, LETTER, base=1)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_editor_shuts_nobody_out(browser: Browser, running: Up, dark: bool) -> None:
    with reader(browser, running.url, dark=dark) as person:
        _open(person, running)
        person.page.get_by_label("Contact (JSON)").fill(CONTACT)
        person.press("Preview")
        _frame(person, "Phone-letter").get_by_role("heading").wait_for()
        person.page.get_by_label("Definition").fill(LETTER + "  - id: lost\n    exit: {}\n")
        person.page.locator("#problems .wrong").first.wait_for()
        assert person.faults() == []
        person.page.set_viewport_size({"width": 390, "height": 844})
        assert person.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_editor_does_without_scripts(browser: Browser, running: Up) -> None:
    context = browser.new_context(java_script_enabled=False)
    try:
        person = Reader(context.new_page(), running.url)
        _open(person, running, 2)
        person.page.get_by_label("Definition").fill(OTHER.replace("next: days", "next: dais"))
        person.press("Check")
        person.sees("there is no step 'dais'; did you mean 'days'?")
        person.page.get_by_role("link", name="Line 12").click()
        assert person.page.url.endswith("#L12")
        person.page.get_by_label("Definition").fill(OTHER.replace("Dear {{", "Liebe {{"))
        person.page.get_by_label("Contact (JSON)").fill(CONTACT)
        person.press("Preview")
        person.page.get_by_role("button", name="Show").nth(1).click()
        _frame(person, "Phone-letter").get_by_role("heading", name="Liebe Ana").wait_for()
        person.press("Publish")
        person.press("Confirm")
        person.sees("Version 2 is published")
    finally:
        context.close()
