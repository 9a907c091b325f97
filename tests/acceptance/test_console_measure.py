"""The measure of the console: somebody who has never seen it does all that it is for, by what the pages say."""

from pathlib import Path

from playwright.sync_api import Browser, Locator

from caravan.client import Client
from tests.acceptance.browsing import Reader, reader
from tests.acceptance.conftest import Up, until
from tests.integration.journeys_for_tests import SPRING, contacts

CONTACT = "123"


def _region(person: Reader, heading: str) -> Locator:
    """The part of the page under this heading."""
    title = person.page.get_by_role("heading", name=heading)
    return person.page.locator("section, article").filter(has=title)


def _link(person: Reader, name: str) -> None:
    person.page.get_by_role("link", name=name, exact=True).first.click()


def _launch(person: Reader, file: Path) -> None:
    person.press("New batch")
    person.page.get_by_label("Journey").select_option(label="Spring sale · 1")
    person.page.get_by_label("File of contacts").set_input_files(file)
    person.press("Go on")
    person.sees("1,000 contacts will enter “Spring sale”")


def _find_bad_rows(person: Reader) -> None:
    refused = _region(person, "Rejected rows")
    refused.get_by_role("row").filter(has_text="Not JSON").filter(has_text="2").first.wait_for()
    _link(person, "All rejected rows")
    for reason, line in (("Not JSON", "1,001"), ("Not JSON", "1,002"), ("No id", "1,003")):
        _region(person, reason).get_by_role("row").filter(has_text=line).wait_for()


def _state(person: Reader, state: str) -> None:
    person.page.get_by_role("main").get_by_text(state, exact=True).first.wait_for()


def _start_pause_and_recall(person: Reader, client: Client, batch: str) -> None:
    person.page.go_back()
    person.press("Start")
    _state(person, "running")
    until(lambda: client.batch(batch).ledger.outcomes().get("sent") == 1_000)
    person.press("Pause")
    _state(person, "paused")
    person.press("Recall")
    person.sees("Recall stops 1,000 of 1,000 contacts")
    person.sees("1,000 messages were sent already")
    person.press("Confirm")
    _state(person, "cancelled")


def _look_up(person: Reader) -> None:
    _link(person, "Contacts")
    person.page.get_by_label("Contact’s id").fill(CONTACT)
    person.press("Look up")
    entry = person.page.get_by_role("region", name="line 124")
    entry.get_by_text("if attributeName = 'yes'").wait_for()
    for step, outcome in (("vip_or_not", "passed"), ("vip_offer", "sent"), ("days", "cancelled")):
        entry.get_by_role("listitem").filter(has_text=step).filter(has_text=outcome).first.wait_for()
    entry.get_by_role("link", name="See the mail").click()
    person.page.get_by_role("heading", name=f"N{CONTACT}, this is for you").wait_for()


def test_somebody_new_launches_a_file_finds_its_bad_rows_stops_it_and_sees_what_happened_to_one_contact_and_why(
    browser: Browser, console: Up, tmp_path: Path
) -> None:
    file = tmp_path / "people.ndjson"
    file.write_bytes(contacts(1_000) + b'nonsense\n{"half": \n{"properties": {}}\n')
    with console.client() as client, reader(browser, console.url) as person:
        client.publish(1, SPRING)
        person.enter(console)
        _launch(person, file)
        batch = person.page.url.rpartition("/")[2].partition("?")[0]
        _find_bad_rows(person)
        _start_pause_and_recall(person, client, batch)
        _look_up(person)
        assert person.complaints == []
