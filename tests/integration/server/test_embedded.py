"""The embedded PostgreSQL: it outlives a kill -9, and stops with its last user."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

from caravan.server.embedded import embedded

_USE = """
import sys, time
from pathlib import Path
from caravan.server.embedded import embedded
with embedded(Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def _user(folder: Path) -> "tuple[subprocess.Popen[str], str]":
    process = subprocess.Popen([sys.executable, "-c", _USE, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def _postmaster(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]))


def _gone(process: psutil.Process, seconds: float = 10) -> bool:
    try:
        process.wait(seconds)
    except psutil.TimeoutExpired:
        return False
    return True


def _kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_it_stops_when_its_only_user_ends(folder: Path) -> None:
    with embedded(folder, wait=True):
        postmaster = _postmaster(folder)
        assert postmaster.is_running()
    assert _gone(postmaster)


def test_it_keeps_running_while_another_user_is_left(folder: Path) -> None:
    with embedded(folder, wait=True) as url:
        with embedded(folder, wait=True) as same:
            assert same == url
        psycopg.connect(url).close()


def test_it_stops_after_a_kill_9_of_its_only_user(folder: Path) -> None:
    process, _ = _user(folder)
    postmaster = _postmaster(folder)
    _kill(process)
    assert _gone(postmaster)


def test_what_was_committed_is_there_after_a_kill_9_of_everything(folder: Path) -> None:
    process, url = _user(folder)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table kept (a int)")
        connection.execute("insert into kept values (7)")
    postmaster = _postmaster(folder)
    guardians = [each for each in psutil.process_iter(["cmdline"]) if str(folder) in (each.info["cmdline"] or [])]
    for each in [*postmaster.children(recursive=True), postmaster, *guardians]:
        if each.pid != process.pid:
            with suppress(ProcessLookupError):  # it went with its parent
                os.kill(each.pid, signal.SIGKILL)
    _kill(process)
    with embedded(folder, wait=True) as again, psycopg.connect(again) as connection:
        assert connection.execute("select a from kept").fetchone() == (7,)


def test_a_stale_pid_file_of_a_number_that_another_program_got_is_no_hindrance(folder: Path) -> None:
    with embedded(folder, wait=True):
        pass
    (folder / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n/nowhere\n0\n5432\n/tmp\n\n0 0\nready\n")
    with embedded(folder, wait=True) as url:
        psycopg.connect(url).close()


def test_starting_again_is_quick(folder: Path) -> None:
    """A restart must not leave anything behind that the next start has to wait for."""
    for _ in range(3):
        with embedded(folder, wait=True):
            begun = time.monotonic()
        assert time.monotonic() - begun < 10
