"""Suppressions by commands, beside a running system; and a mail of it, unsubscribed from by its header."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from caravan.client import Client
from tests.acceptance.conftest import Up, caravan, up

MAIL = """
journey: 1
steps:
  - id: mail
    email: {from: a@example.com, to: "{{ to }}", subject: Hello, text: "Stop: {{ unsubscribe_url }}"}
"""


@pytest.fixture
def running(folder: Path) -> Iterator[Up]:
    with up(folder) as running:
        yield running


def test_lists_go_in_and_out_by_commands_and_by_the_sdk(running: Up, folder: Path, tmp_path: Path) -> None:
    customer = running.told["customer"]

    def run(*arguments: str) -> tuple[int, str, str]:
        made = caravan(folder, "suppressions", *arguments, "--customer", customer)
        return made.returncode, made.stdout, made.stderr

    assert run("add", "Anna@example.com", "ben@example.com", "--detail", "by phone")[:2] == (
        0,
        "2 added, 0 known before\n",
    )
    code, out, _ = run("list", "--address", "ANN", "--json")
    (anna,) = map(json.loads, out.splitlines())
    assert (code, anna["address"], anna["source"], anna["detail"]) == (0, "anna@example.com", "command", "by phone")
    code, exported, _ = run("export")
    assert code == 0 and exported.splitlines()[0] == "address,channel,topic,reason,at,detail,source,who"
    assert run("remove", "anna@example.com")[0] == 0
    assert run("remove", "anna@example.com")[0] == 1
    file = tmp_path / "list.csv"
    file.write_text(exported + "nobody,,,,,,,\n")
    code, out, told = run("import", str(file))
    assert (code, out) == (0, "1 added, 1 known before, 1 refused\n")
    assert told.startswith("line 4: ")

    with Client(running.url, int(customer), running.told["token"]) as client:
        assert [each.address for each in client.suppressions(address="b")] == ["ben@example.com"]
        assert client.suppress("cleo@example.com", topic="News") == 1
        assert client.lift("cleo@example.com", topic="News") == 1
        assert client.import_suppressions(file)["known"] == 2
        assert {each.address for each in client.export_suppressions()} == {"anna@example.com", "ben@example.com"}


def test_the_link_in_a_mail_of_up_works_and_the_next_mail_does_not_go(
    running: Up, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_text('{"id": "1", "properties": {"to": "anna@example.com"}}\n')
    with Client(running.url, int(running.told["customer"]), running.told["token"]) as client:
        client.publish(1, MAIL)
        client.wait(client.start_file(1, file).batch)
        mail = caravan(folder, "sandbox", "show", "1", "--raw").stdout
        found = re.search(r"^List-Unsubscribe: <(http://[^>\r\n]+/u/[0-9a-v]+)>\r?$", mail, re.MULTILINE)
        assert found is not None, mail
        assert httpx.get(found[1]).status_code == 200
        assert not list(client.suppressions())
        answer = httpx.post(found[1], data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200 and not answer.history
        (entry,) = client.suppressions()
        assert (entry.address, entry.reason, entry.who) == ("anna@example.com", "unsubscribed", "recipient")
        batch = client.wait(client.start_file(1, file).batch)
        assert batch.ledger.outcomes() == {"suppressed": 1}
