"""`caravan batch start` as people and nightly jobs use it: piped, watched on a terminal, and told by its exit code."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.conftest import BackgroundSandbox, Up, environment, up
from tests.integration.journeys_for_tests import EXIT, MAIL, WAIT, contacts


@pytest.fixture(scope="module")
def running(shared_folder: Path) -> Iterator[Up]:
    mails = BackgroundSandbox()
    with closing(mails), up(shared_folder, SMTP_URL=mails.url) as found:
        with found.client() as client:
            client.publish(1, EXIT)
            client.publish(2, WAIT.replace("journey: 1", "journey: 2"))
            client.publish(3, MAIL.replace("journey: 1", "journey: 3").replace("{{ emailAddress }}", "{{ missing }}"))
        yield found


def _environment(running: Up) -> dict[str, str]:
    told = {"URL": running.url, "CUSTOMER": running.told["customer"], "TOKEN": f" {running.told['token']}\n"}
    return {**environment(running.folder, **told), "COLUMNS": "150"}


def _start(running: Up, *arguments: str, content: bytes = contacts(3)) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "caravan", "batch", "start", "-", *arguments]
    return subprocess.run(command, input=content, env=_environment(running), capture_output=True, timeout=60)


def test_a_file_can_come_from_standard_input(running: Up) -> None:
    done = _start(running, "--journey", "1", "--watch", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ledger"]["entered"] == 3


def test_a_table_is_started_with_its_column_of_ids(running: Up, tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    file.write_text("number,city\nA1,Oslo\nA2,\nA1,Bergen\n", encoding="utf-8")
    command = [sys.executable, "-m", "caravan", "batch", "start", str(file), "--journey", "2", "--json"]
    options = ["--id-column", "number", "--watch", "--until", "sent"]
    done = subprocess.run([*command, *options], env=_environment(running), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["ledger"]["entered"], found["ledger"]["rejected"]) == (2, {"duplicate": 1})
    with running.client() as client:
        assert client.contact("A1").entries[0].properties == {"city": "Oslo"}
        assert client.contact("A2").entries[0].properties == {}
    done = subprocess.run(command, env=_environment(running), capture_output=True, text=True, timeout=60)
    awaits, problem = done.stderr.splitlines()
    assert (done.returncode, problem) == (1, "caravan: Row 1 has nothing in 'id', where its id should be.")
    with running.client() as client:
        assert client.batch(awaits.split()[0]).state == "awaiting_upload"  # a file cut off starts nothing
    done = _start(running, "--journey", "2", "--id-column", "x")
    assert (done.returncode, done.stderr) == (1, b"caravan: --id-column names a column of a .csv or .parquet file.\n")


def test_a_batch_that_reached_nobody_is_no_success(running: Up) -> None:
    done = _start(running, "--journey", "3", "--watch")
    assert done.returncode == 1
    assert b"completed" in done.stdout
    assert b"NOBODY WAS REACHED: all 3 messages failed" in done.stdout


def test_watching_can_end_once_all_is_sent(running: Up) -> None:
    done = _start(running, "--journey", "2", "--watch", "--until", "sent")
    assert done.returncode == 0, done.stderr
    assert b"standing 3" in done.stdout
    assert b"are waiting until" in done.stdout


def test_the_list_tells_time_journey_and_name(running: Up) -> None:
    batch = _start(running, "--journey", "2").stdout.decode().strip()
    command = [sys.executable, "-m", "caravan", "batch", "list", "--journey", "2"]
    told = subprocess.run(command, env=_environment(running), capture_output=True, text=True, timeout=60).stdout
    [line] = [line for line in told.splitlines() if line.startswith(batch)]
    assert "journey 2 Wait: " in line
    assert line.split()[1].startswith("20")


def test_on_a_terminal_progress_is_drawn_and_the_result_stands_on_standard_output(running: Up) -> None:
    """Bars are for people: what a program reads has none of them."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "caravan", "batch", "start", "-", "--journey", "1", "--watch"]
    with subprocess.Popen(
        command, env=_environment(running), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(contacts(500))
        process.stdin.close()
        drawn = b"".join(iter(lambda: _read(ours), b""))
        out = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    assert b"100 %" in drawn
    assert b"\x1b[" in drawn
    assert b"\x1b[" not in out
    assert b"entered 500" in out


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other end is closed
        return b""


def test_a_token_with_what_no_token_has_is_refused_and_not_shown(running: Up) -> None:
    command = [sys.executable, "-m", "caravan", "batch", "list"]
    wrong = {**_environment(running), "CARAVAN_TOKEN": "crv_secret\nX-Injected: 1"}
    done = subprocess.run(command, env=wrong, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "secret" not in done.stdout + done.stderr
    assert "The token holds characters that no token has" in done.stderr


def test_where_a_batch_stands_is_told_by_its_path_as_well(tmp_path: Path) -> None:
    missing = subprocess.run(
        [sys.executable, "-m", "caravan", "batch", "start", str(tmp_path / "none"), "--journey", "1"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "CARAVAN_CUSTOMER": "1", "CARAVAN_TOKEN": "t"},
    )
    assert (missing.returncode, "is no file" in missing.stderr) == (1, True)
