"""PostgreSQL dies under a running system: it is started again, calls are told to come back, and nobody is lost."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

from caravan.client import CallFailed, Client
from tests.acceptance.conftest import BackgroundSandbox, until, up
from tests.integration.journeys_for_tests import MAIL, contacts


def _postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def _batch(client: Client, batch: str):  # type: ignore[no-untyped-def]
    try:
        return client.batch(batch).raw
    except CallFailed as error:
        assert error.status in (0, 503), error
        return None


def test_a_postgres_that_is_killed_in_the_middle_of_a_send_starts_again_and_the_send_goes_on(
    folder: Path, tmp_path: Path, mails: BackgroundSandbox
) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(4_000))
    with up(folder, SMTP_URL=mails.url) as running, running.client() as client:
        client.publish(1, MAIL)
        batch = client.start_file(1, file).batch
        for reached in (500, 2_000):
            until(lambda reached=reached: len(mails.recipients) > reached, pause=0.01)  # type: ignore[misc]
            os.kill(_postmaster(folder), signal.SIGKILL)
        killed = time.monotonic()
        found = until(lambda: (b := _batch(client, batch)) and b["finishedAt"] and b)
        assert time.monotonic() - killed < 120
        journal = Counter(line.contact for line in client.journal(batch))
        unknown = {line.contact for line in client.journal(batch, outcome="unknown")}
    got = Counter(mails.recipients)
    assert found["state"] == "completed"
    assert journal == Counter(str(number) for number in range(4_000))
    assert max(got.values()) == 1
    assert {f"c{number}@example.com" for number in range(4_000)} - set(got) <= {
        f"c{each}@example.com" for each in unknown
    }
