"""Children that are copies of their parent."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from caravan.server import forked
from caravan.server.leash import Leash

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks only on Linux")

_START = """
import fcntl, os, signal, sys, time
from caravan import cli
from caravan.server import forked

def parent_only(number, frame):
    print("the parent's handler", flush=True)

signal.signal(signal.SIGTERM, parent_only)
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
read, write = os.pipe()

def main():
    print(sys.argv[1:], os.environ["GIVEN"], flush=True)
    {child}

cli.main = main
print("before the fork", end=" ")
child = forked.fork(["worker", "--number", "7"], {{"GIVEN": "it"}}, [read])
{parent}
"""


def _run(folder: Path, child: str, parent: str) -> list[str]:
    script = _START.format(child=child.replace("\n", "\n    "), parent=parent)
    command = [sys.executable, "-c", script, str(folder / "lock")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return (done.stdout + done.stderr).splitlines()


def test_a_child_runs_the_command_with_its_environment_and_says_nothing_twice(tmp_path: Path) -> None:
    said = _run(tmp_path, "pass", "print(child.wait(10))")
    assert said == ["before the fork ['worker', '--number', '7'] it", "0"]


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("return", 0),
        ("sys.exit(3)", 3),
        ("sys.exit()", 0),
        ("sys.exit('a sentence')", 1),
        ("raise ValueError('no')", 1),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -15),
        ("os.kill(os.getpid(), signal.SIGKILL); time.sleep(60)", -9),
    ],
)
def test_how_a_child_ends_is_how_its_command_ends(tmp_path: Path, ending: str, code: int) -> None:
    assert str(code) in _run(tmp_path, ending, "print(child.wait(10))\nassert child.poll() == child.wait(0)")


def test_a_child_holds_no_file_of_its_parent_but_those_that_it_is_given(tmp_path: Path) -> None:
    """A lock is held for as long as any copy of its file is open, and a pipe has an end for as long."""
    said = _run(
        tmp_path,
        "files = [os.readlink(f'/proc/self/fd/{each}') for each in (0, read, write, lock.fileno())]\n"
        "print(sorted({each.partition(':')[0] for each in files}), flush=True)\ntime.sleep(60)",
        "time.sleep(0.5)\nlock.close()\nagain = open(sys.argv[1], 'w')\n"
        "fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)\nprint('it is free')\nchild.kill()\nprint(child.wait(10))",
    )
    assert said[1:] == ["['/dev/null', 'pipe']", "it is free", "-9"]


def test_a_child_is_known_by_its_command(tmp_path: Path) -> None:
    said = _run(
        tmp_path,
        "print(os.getpid(), flush=True)\ntime.sleep(60)",
        "time.sleep(0.5)\nimport psutil\nwords = psutil.Process(child.pid).cmdline()\n"
        "print([each for each in words[1:] if each])\nchild.kill()\nchild.wait()",
    )
    assert said[2] == "['-m', 'caravan', 'worker', '--number', '7']"


def test_waiting_for_a_child_that_goes_on_ends_in_time(tmp_path: Path) -> None:
    said = _run(
        tmp_path,
        "time.sleep(60)",
        "import subprocess\ntry:\n    child.wait(0.1)\nexcept subprocess.TimeoutExpired:\n    print('it goes on')\n"
        "child.kill()\nchild.wait()\nchild.send_signal(9)",
    )
    assert said[1:] == ["it goes on"]


def test_what_is_preloaded_starts_no_thread_that_a_child_would_lack() -> None:
    """But for jemalloc's (pyarrow's allocator), which has handlers of its own for forks."""
    script = (
        "import os; from caravan.server import forked; forked.preload()\n"
        "for each in os.listdir('/proc/self/task'): print(open(f'/proc/self/task/{each}/comm').read().strip())\n"
        "forked.unload()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    threads = done.stdout.splitlines()
    assert len([each for each in threads if each != "jemalloc_bg_thd"]) == 1, threads
    assert not done.stderr


def test_beside_a_thread_a_child_is_a_program_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the thread had locked would stay locked in a copy."""
    over = threading.Event()
    before = forked.is_safe()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert (before, forked.is_safe()) == (threading.active_count() == 2, False)
        monkeypatch.setattr(forked, "preload", lambda: None)
        monkeypatch.setattr(forked, "fork", lambda *_: pytest.fail("it forked"))
        with Leash() as leash:
            assert leash.start(["--help"], {}).wait(60) == 0
    finally:
        over.set()
        thread.join()
