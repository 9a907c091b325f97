"""Backup and restore as docs/operation.md tells it: the very commands of that page are run."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from caravan.client import Client
from tests.acceptance.conftest import BackgroundSandbox, environment, until, up
from tests.integration.journeys_for_tests import MAIL, contacts

PAGE = Path(__file__).parents[2] / "docs" / "operation.md"
_MARK = "<!-- tests/acceptance/test_backup.py runs this block -->"

#: A mail after a wait.
LATER = """
journey: {journey}
name: Later
steps:
  - id: pause
    wait: {wait}
    next: mail
  - id: mail
    email:
      from: shop@example.com
      to: "{{{{ emailAddress }}}}"
      subject: "Later, {{{{ firstname }}}}"
      text: "Hello"
    next: out
  - id: out
    exit: {{}}
"""


def _blocks() -> tuple[str, str]:
    """The page's commands to back up, and to restore."""
    _, *parts = PAGE.read_text(encoding="utf-8").split(_MARK)
    blocks = [re.match(r"\n+((?:    .*\n|\n)+)", part) for part in parts]
    backup, restore = (re.sub(r"^    ", "", each[1], flags=re.MULTILINE) for each in blocks if each is not None)
    return backup, restore


def _sh(script: str, data: Path, backup: Path) -> None:
    as_pgserver = "runuser -u pgserver --" if os.geteuid() == 0 else ""
    paths = {"DATA": str(data), "BACKUP": str(backup), "AS": as_pgserver}
    caravan = f'caravan() {{ "{sys.executable}" -m caravan "$@"; }}\n'
    found = subprocess.run(
        ["sh", "-euc", caravan + script],
        env=environment(data) | paths,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def _start(client: Client, folder: Path, journey: int, people: int) -> str:
    """A batch of `people` contacts, once everyone has come to a wait or to the end."""
    file = folder / f"{journey}.ndjson"
    file.write_bytes(contacts(people))
    batch = client.start_file(journey, file).batch
    assert batch is not None
    client.wait(batch, until="sent")
    return batch


def _told(client: Client, batch: str) -> dict[str, Any]:
    """What is to be the same afterwards."""
    found = dict(client.batch(batch).raw)
    lines = sorted((each.contact, each.step, each.outcome) for each in client.journal(batch))
    standing = sorted((each.contact, each.step) for each in client.journal(batch, outcome="standing"))
    return {"state": found["state"], "ledger": found["ledger"], "journal": lines, "standing": standing}


def _fill(client: Client, tmp_path: Path) -> tuple[str, str, str]:
    """A batch that is completed, one that waits for days, and one that is paused in a wait that ends at once."""
    client.publish(1, MAIL)
    client.publish(2, LATER.format(journey=2, wait="3 days"))
    client.publish(3, LATER.format(journey=3, wait="20 seconds"))
    completed = _start(client, tmp_path, 1, 300)
    waits = _start(client, tmp_path, 2, 200)
    paused = _start(client, tmp_path, 3, 100)
    client.pause(paused)
    return completed, waits, paused


def test_everybody_is_in_one_place_after_a_dump_the_loss_of_everything_and_a_restore(
    folder: Path, tmp_path: Path, mails: BackgroundSandbox
) -> None:
    backup, restore = _blocks()
    kept, second = tmp_path / "backup", folder / "second"
    kept.mkdir()
    with up(folder / "first", SMTP_URL=mails.url) as running, running.client() as client:
        told = dict(running.told)
        batches = _fill(client, tmp_path)
        _sh(backup, folder / "first", kept)
        before = [_told(client, batch) for batch in batches]
        running.kill_9()
    shutil.rmtree(folder / "first")
    _sh(restore, second, kept)
    with up(second, SMTP_URL=mails.url) as running, running.client(told) as client:
        assert [_told(client, batch) for batch in batches] == before
        assert len(before[1]["standing"]) == 200
        client.resume(batches[2])
        ended = until(lambda: (found := client.batch(batches[2])).raw["finishedAt"] and found)
        assert ended.state == "completed"
        assert ended.ledger.outcomes()["sent"] == 100
    # 300 of the completed batch and 100 after the restore, with the addresses of the first 100.
    assert Counter(Counter(mails.recipients).values()) == {2: 100, 1: 200}


@pytest.mark.long
def test_a_cold_copy_of_the_data_folder_is_a_backup(folder: Path, tmp_path: Path, mails: BackgroundSandbox) -> None:
    with up(folder / "first", SMTP_URL=mails.url) as running, running.client() as client:
        told = dict(running.told)
        client.publish(2, LATER.format(journey=2, wait="3 days"))
        batch = _start(client, tmp_path, 2, 200)
        before = _told(client, batch)
    subprocess.run(["cp", "-a", folder / "first", folder / "copy"], check=True)
    shutil.rmtree(folder / "first")
    with up(folder / "copy", SMTP_URL=mails.url) as running, running.client(told) as client:
        assert _told(client, batch) == before
