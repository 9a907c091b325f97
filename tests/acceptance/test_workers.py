"""Several worker processes on one machine: all work, one that dies takes no other down, all end with their parent."""

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import BackgroundSandbox, environment, until, up
from tests.integration.journeys_for_tests import MAIL, contacts


def _workers(parent: int) -> dict[str, psutil.Process]:
    """The worker processes that a process keeps, by number."""
    found = {}
    for each in psutil.Process(parent).children():
        try:
            words = each.cmdline()
        except psutil.Error:
            continue
        if "--number" in words:
            found[words[words.index("--number") + 1]] = each
    return found


def _heeds(process: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, so that it works by now."""
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


def test_one_of_three_workers_is_killed_and_the_batch_goes_on_with_the_two_that_live(
    folder: Path, tmp_path: Path, mails: BackgroundSandbox
) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(contacts(4_000))
    with up(folder, SMTP_URL=mails.url, WORKERS="3") as running, running.client() as client:
        before = _workers(running.process.pid)
        assert set(before) == {"1", "2", "3"}
        client.publish(1, MAIL)
        batch = client.start_file(1, file).batch
        until(lambda: len(mails.recipients) > 300, pause=0.01)
        before["2"].kill()
        found = until(lambda: (b := client.batch(batch)).finished_at and b)
        after = until(lambda: (w := _workers(running.process.pid)).get("2") not in (None, before["2"]) and w)
        assert (after["1"].pid, after["3"].pid) == (before["1"].pid, before["3"].pid)
        assert sum(found.ledger.outcomes().values()) == 4_000
        assert max(Counter(mails.recipients).values()) == 1


@pytest.fixture(scope="module")
def beside(shared_folder: Path) -> Iterator[Path]:
    """The data folder of a running system for workers that other commands run."""
    with up(shared_folder, WORKERS="1"):
        yield shared_folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_that_a_command_of_their_own_runs_end_with_it(beside: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "caravan", "worker", "--workers", "2", "--queues", "deliver,upkeep"]
    with subprocess.Popen(command, env=environment(beside)) as process:
        workers = list(until(lambda: len(w := _workers(process.pid)) == 2 and w).values())
        time.sleep(0.5)
        process.send_signal(number)
        code = process.wait(60)
        _, alive = psutil.wait_procs(workers, 15)
        assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
    assert code == (0 if number == signal.SIGTERM else -number)


def test_a_worker_of_one_queue_that_one_process_serves_is_a_single_process(beside: Path) -> None:
    command = [sys.executable, "-m", "caravan", "worker", "--workers", "8", "--queues", "upkeep"]
    with subprocess.Popen(command, env=environment(beside)) as process:
        until(lambda: _heeds(process.pid, signal.SIGTERM))
        assert _workers(process.pid) == {}
        process.terminate()
        assert process.wait(60) == 0
