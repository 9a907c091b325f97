"""With no relay set, `caravan up` keeps mails where its user can see them, and says so."""

import json
from pathlib import Path

import httpx
from playwright.sync_api import Browser

from tests.acceptance.browsing import reader
from tests.acceptance.conftest import caravan, until, up
from tests.integration.journeys_for_tests import MAIL, contacts

HTML_MAIL = """
journey: 2
name: With HTML
steps:
  - id: mail
    email:
      from: shop@example.com
      to: "{{ emailAddress }}"
      subject: Hello
      html: |
        <style>h1 { color: rgb(1, 2, 3) }</style><h1>Dear {{ firstname }}</h1>
        <script>document.querySelector("h1").textContent = "changed"</script>
        <img src="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='7' height='7'/%3E">
        <a href="https://elsewhere.test/">Shop</a>
"""


def test_without_a_relay_mails_are_kept_shown_and_cleared(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(30))
    with up(folder) as running, running.client() as client:
        said = "".join(running.said)
        assert "MAIL GOES INTO THE SANDBOX" in said
        assert said.index("MAIL GOES") < said.index("Caravan is up at")
        assert "starting the API and" in said
        assert httpx.get(f"{running.url}/readyz").json()["mail"].startswith("sandbox")
        client.publish(1, MAIL)
        batch = client.start_file(1, file).batch
        found = until(lambda: (b := client.batch(batch)).finished_at and b)
        assert found.ledger.outcomes() == {"sent": 30}
        listed = [json.loads(line) for line in caravan(folder, "sandbox", "list", "--json").stdout.splitlines()]
        assert len(listed) == 20
        only = caravan(folder, "sandbox", "list", "--to", "c7@example.com").stdout
        assert len(only.splitlines()) == 1
        number = only.split()[0]
        shown = caravan(folder, "sandbox", "show", number)
        assert "To: c7@example.com" in shown.stdout
        raw = caravan(folder, "sandbox", "show", number, "--raw").stdout
        assert "Message-ID: <" in raw
        assert "MIME-Version: 1.0" in raw
        assert json.loads(caravan(folder, "sandbox", "show", number, "--json").stdout)["to"] == "c7@example.com"
        assert caravan(folder, "sandbox", "clear").stdout == "30 mails forgotten\n"
        assert caravan(folder, "sandbox", "list").stdout == ""
        missing = caravan(folder, "sandbox", "show", number)
        assert (missing.returncode, len(missing.stderr.splitlines())) == (1, 1)


def test_with_a_relay_nothing_is_said_of_a_sandbox(folder: Path) -> None:
    with up(folder, SMTP_URL="smtp://127.0.0.1:1") as running:
        assert "SANDBOX" not in "".join(running.said)
        assert httpx.get(f"{running.url}/readyz").json()["mail"] == "relay"


def test_a_mail_is_seen_as_its_reader_would_and_does_nothing_of_its_own(
    browser: Browser, folder: Path, tmp_path: Path
) -> None:
    """Its styles and its own pictures show in a real browser; its scripts do not run, and its links lead nowhere."""
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(1))
    with up(folder) as running, running.client() as client:
        client.publish(2, HTML_MAIL)
        batch = client.start_file(2, file).batch
        until(lambda: client.batch(batch).finished_at)
        with reader(browser, running.url) as person:
            person.enter(running)
            person.page.get_by_role("link", name="Sandbox: no mail leaves").click()
            person.page.get_by_role("link", name="Hello").click()
            mail = person.page.frame_locator("iframe[title='The mail as HTML']")
            heading = mail.get_by_role("heading", name="Dear N0")
            heading.wait_for()
            assert heading.evaluate("each => getComputedStyle(each).color") == "rgb(1, 2, 3)"
            assert mail.locator("img").evaluate("each => [each.complete, each.naturalWidth]") == [True, 7]
            assert mail.locator("body").evaluate("() => window.origin") == "null"
            mail.get_by_role("link", name="Shop").click()
            until(lambda: any("frame-src" in each for each in person.complaints))
            assert person.page.url.startswith(running.url)
