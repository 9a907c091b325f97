"""What `caravan up` and `caravan worker` tell an operator."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.acceptance.conftest import caravan, environment, until, up
from tests.integration.journeys_for_tests import EXIT, MAIL, contacts


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def test_a_relay_that_is_away_a_batch_that_fails_and_a_worker_that_dies_are_each_a_line(
    folder: Path, tmp_path: Path
) -> None:
    log, bad = tmp_path / "log", tmp_path / "bad.ndjson"
    bad.write_bytes(b"[]")
    settings = {"SMTP_URL": f"smtp://127.0.0.1:{_free_port()}", "WORKERS": "2"}
    with log.open("w") as out, up(folder, log=out, **settings) as running, running.client() as client:
        client.publish(1, MAIL)
        client.publish(2, EXIT.replace("journey: 1", "journey: 2"))
        good = tmp_path / "good.ndjson"
        good.write_bytes(contacts(3_000))
        client.start_file(1, good)
        failed = client.start_file(2, bad).batch
        until(lambda: f"batch {failed} of journey 2 failed: " in log.read_text())
        until(lambda: "The mail relay is away: Connection refused" in log.read_text())
    lines = log.read_text().splitlines()
    assert sum("The mail relay is away" in line for line in lines) == 1, lines
    assert sum(f"batch {failed} " in line for line in lines) == 1


def test_a_worker_says_what_it_serves_and_what_is_left_to_others(folder: Path) -> None:
    assert caravan(folder, "migrate").returncode == 0
    command = [sys.executable, "-m", "caravan", "worker", "--workers", "2", "--queues", "deliver,fetch"]
    with subprocess.Popen(command, env=environment(folder), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    # What a rate holds back is sent by who serves `deliver`.
    assert said.startswith("2 worker processes serve deliver, fetch, paced; other workers must serve intake, spans, ")
    assert "No CARAVAN_SMTP_URL is set" in said
