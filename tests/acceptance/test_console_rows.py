"""Bad rows, failures, starting again and forgetting, in a real browser at a running system."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.acceptance.browsing import reader
from tests.acceptance.conftest import Up, until
from tests.integration.journeys_for_tests import MAIL


@pytest.fixture(scope="module")
def running(console: Up) -> Up:
    with console.client() as client:
        client.publish(1, MAIL)
    return console


def _batch(running: Up) -> str:
    """An ended batch with 100 rows: 10 rejected, 20 contacts that a mail could not be sent to, 70 that got it."""
    rows = [{"id": f"c{n}", "properties": {"emailAddress": f"c{n}@example.com"}} for n in range(70)]
    rows += [{"id": f"x{n}", "properties": {"emailAddress": "nobody"}} for n in range(20)]
    file = running.folder.parent / "contacts.ndjson"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n" + '{"properties": {}}\n' * 10)
    with running.client() as client:
        batch = client.start_file(1, file).batch
        until(lambda: client.batch(batch).ended)
    return batch


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_lists_of_a_batch_shut_nobody_out(browser: Browser, running: Up, dark: bool) -> None:
    batch = _batch(running)
    own = f"/console/{running.told['customer']}/batches/{batch}"
    paths = ["", "/rejects", "/rejects?code=missing_id", "/failures", "/failures?step=mail", "/restart", "/forget"]
    paths += ["/dead-letters", "/returns"]
    faults: dict[str, list[str]] = {}
    with reader(browser, running.url, dark=dark) as person:
        person.enter(running)
        for path in paths:
            person.page.set_viewport_size({"width": 1440, "height": 900})
            person.go(own + path)
            person.page.locator("h1").first.wait_for()
            faults[path] = person.faults()
            person.page.set_viewport_size({"width": 390, "height": 844})
            width = person.page.evaluate("document.documentElement.scrollWidth")
            faults[path] += [f"is {width} px wide on a phone"] if width > 390 else []
        assert {path: found for path, found in faults.items() if found} == {}
        assert person.complaints == []


def test_bad_rows_are_found_downloaded_started_again_and_forgotten_without_a_shell(
    browser: Browser, running: Up
) -> None:
    batch = _batch(running)
    with reader(browser, running.url) as person:
        person.enter(running)
        page = person.page
        page.get_by_role("link", name=batch).click()
        page.get_by_role("link", name="See the rows").click()
        person.sees("10 of 100 rows were rejected")
        with page.expect_download() as got:
            page.get_by_role("link", name="CSV").first.click()
        assert got.value.suggested_filename == f"{batch}-rejects.csv"
        assert len(Path(got.value.path()).read_text().splitlines()) == 11
        page.get_by_role("link", name=batch).click()
        page.get_by_role("link", name="20 not reached: who, and why").click()
        with page.expect_download() as got:
            page.get_by_role("link", name="NDJSON").first.click()
        contacts = {json.loads(line)["contact"] for line in Path(got.value.path()).read_text().splitlines()}
        assert contacts == {f"x{n}" for n in range(20)}
        page.get_by_role("link", name=batch).click()
        person.press("Start again with those who failed")
        person.sees("20 contacts that left a step as failed enter “One mail” once more")
        person.press("Confirm")
        person.sees("Started again with those who left a step of")
        page.locator("#summary .badge.completed").wait_for()
        page.get_by_role("link", name=batch).click()
        person.press("Forget")
        person.sees("This deletes 90 contacts with their properties")
        person.press("Confirm")
        person.sees("Its contacts were deleted")
        assert person.complaints == []
    with running.client() as client:
        made = next(each for each in client.batches() if each.restart_of is not None)
        assert (made.ledger.entered, made.restart_of and made.restart_of.batch) == (20, batch)
