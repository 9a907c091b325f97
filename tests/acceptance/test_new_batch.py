"""A new batch as a person starts it: in a real browser, at a running system."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.acceptance.browsing import Reader, reader
from tests.acceptance.conftest import Up, until
from tests.integration.journeys_for_tests import SPRING, contacts

LETTERS = SPRING.replace(
    'text: "Dear {{ firstname }}"',
    'text: "Dear {{ firstname }}"\n      html: "<h1 style=\'color: green\'>{{ firstname }}</h1>"',
)


@pytest.fixture(scope="module")
def running(console: Up) -> Up:
    with console.client() as client:
        client.publish(1, LETTERS)
    return console


def _choose(person: Reader, content: bytes, folder: Path) -> None:
    file = folder / "people.ndjson"
    file.write_bytes(content)
    person.page.get_by_label("File of contacts").set_input_files(file)


def _drop(person: Reader, content: bytes) -> None:
    """Drop a file, as from the desktop."""
    person.page.evaluate(
        """text => {
            const held = new DataTransfer();
            held.items.add(new File([text], "dropped.ndjson"));
            for (const type of ["dragenter", "dragover", "drop"])
                document.querySelector("[data-drop]").dispatchEvent(
                    new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: held }));
        }""",
        content.decode(),
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_batch_is_started_without_a_shell_and_no_stage_shuts_anybody_out(
    browser: Browser, running: Up, dark: bool
) -> None:
    faults: dict[str, list[str]] = {}

    def look(stage: str) -> None:
        for width in (1440, 390):
            person.page.set_viewport_size({"width": width, "height": 900})
            wide = person.page.evaluate("document.documentElement.scrollWidth")
            faults[f"{stage} {width}"] = person.faults() + ([f"is {wide} px wide"] if wide > width else [])

    with reader(browser, running.url, dark=dark) as person, running.client() as client:
        person.enter(running)
        person.press("New batch")
        look("choose")
        person.press("Go on")
        person.page.locator("#stage[data-stage=upload]").wait_for()
        look("upload")
        _drop(person, contacts(250) + b"nonsense\n")
        person.page.get_by_role("heading", name="The first contacts").wait_for()
        look("held")
        person.sees("250 contacts will enter “Spring sale”")
        frame = person.page.frame_locator("iframe").first
        assert frame.locator("h1").evaluate("each => getComputedStyle(each).color") == "rgb(0, 128, 0)"
        person.page.reload()
        person.page.get_by_label("Contact’s id").fill("241")
        person.press("Look up")
        person.sees("N241, this is for you")
        person.press("Start")
        person.page.locator("#summary").wait_for()
        batch = person.page.url.rpartition("/")[2]
        until(lambda: client.batch(batch).ledger.steps[3].standing == 250)
        assert {stage: found for stage, found in faults.items() if found} == {}
        assert person.complaints == []


def test_an_upload_that_broke_off_is_sent_again_and_a_refused_one_says_why(browser: Browser, running: Up) -> None:
    with reader(browser, running.url) as person:
        person.enter(running)
        person.press("New batch")
        person.page.get_by_role("heading", name="New batch").wait_for()  # no script of the page is on its way any more
        person.page.wait_for_load_state()
        person.page.route("**/uploads/*", lambda route: route.abort("connectionreset"))
        _choose(person, contacts(20), running.folder.parent)
        person.press("Go on")
        person.sees("The connection broke off")
        person.page.unroute("**/uploads/*")
        person.page.route("**/uploads/*", lambda route: route.fulfill(status=413, body="<html>"))
        person.press("Retry")
        person.sees("The file is larger than this server takes")
        assert person.page.get_by_role("button", name="Retry").count() == 0
        person.page.unroute("**/uploads/*")
        person.press("Upload")
        person.sees("20 contacts will enter")
        person.page.get_by_role("heading", name="The first contacts").wait_for()
        person.press("Discard")
        person.page.locator("#summary .badge.cancelled").wait_for()
