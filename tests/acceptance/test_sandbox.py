"""With no relay set, `caravan up` keeps mails where its user can see them, and says so."""

import json
from pathlib import Path

import httpx

from tests.acceptance.conftest import caravan, until, up
from tests.integration.journeys_for_tests import MAIL, contacts


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
        found = until(lambda: (b := client.batch(batch))["finishedAt"] and b)
        assert found["ledger"]["steps"][0]["outcomes"] == {"sent": 30}
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
