"""Telling the dead processes of a machine from those that only stand still."""

import errno
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from caravan.queue.presence import Presence, dead_workers

_AT_WORK = """
import sys, time
from pathlib import Path
from caravan.queue.presence import Presence
presence = Presence(Path(sys.argv[1]), "db")
presence.note(7)
print(flush=True)
time.sleep(60)
"""


def _die(presence: Presence) -> None:
    """What the kernel does when a process ends, however it ends."""
    presence._file.close()


def test_the_workers_of_a_dead_process_are_told_once(folder: Path) -> None:
    presence = Presence(folder, "db")
    for worker in (7, 8, 7):
        presence.note(worker)
    _die(presence)
    with dead_workers(folder, "db") as workers:
        assert workers == [7, 8]
    with dead_workers(folder, "db") as workers:
        assert workers == []


def test_one_that_lives_or_ended_in_good_order_is_not_told(folder: Path) -> None:
    living, done = Presence(folder, "db"), Presence(folder, "db")
    living.note(1)
    done.note(2)
    done.close()
    with dead_workers(folder, "db") as workers:
        assert workers == []
    living.close()


def test_dead_workers_whose_jobs_could_not_be_put_back_are_told_again(folder: Path) -> None:
    presence = Presence(folder, "db")
    presence.note(7)
    _die(presence)
    with pytest.raises(ConnectionError), dead_workers(folder, "db"):
        raise ConnectionError
    with dead_workers(folder, "db") as workers:
        assert workers == [7]


def test_the_dead_of_another_database_are_not_told(folder: Path) -> None:
    """Its workers have the same numbers."""
    presence = Presence(folder, "one")
    presence.note(7)
    _die(presence)
    with dead_workers(folder, "other") as workers:
        assert workers == []


@pytest.mark.parametrize("left", [bytes(4096), b"\xff\xfe\n", b"seven\n", b""])
def test_of_a_file_that_a_power_cut_spoilt_nothing_is_told_and_the_others_are(folder: Path, left: bytes) -> None:
    spoilt, whole = Presence(folder, "db"), Presence(folder, "db")
    spoilt._file.write(left)
    whole.note(7)
    for each in (spoilt, whole):
        _die(each)
    with dead_workers(folder, "db") as workers:
        assert workers == [7]
    assert list((folder / "present" / "db").iterdir()) == []


def test_half_a_number_names_no_worker(folder: Path) -> None:
    presence = Presence(folder, "db")
    presence._file.write(b"41\n7")  # of 78, which lives
    _die(presence)
    with dead_workers(folder, "db") as workers:
        assert workers == [41]


def test_a_file_of_another_user_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others, ours = Presence(folder, "db"), Presence(folder, "db")
    ours.note(7)
    for each in (others, ours):
        _die(each)
    _forbid(others._path, monkeypatch)
    with dead_workers(folder, "db") as workers:
        assert workers == [7]
    assert list((folder / "present" / "db").iterdir()) == [others._path]


def _forbid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, from which no file is kept."""
    opened = Path.open

    def refuse(self: Path, *arguments: Any, **more: Any) -> Any:
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(self, *arguments, **more)

    monkeypatch.setattr(Path, "open", refuse)


def test_a_process_that_stands_still_is_not_dead_until_it_is_killed(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _AT_WORK, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        with dead_workers(folder, "db") as workers:
            assert workers == []
        process.kill()
        process.wait()
        with dead_workers(folder, "db") as workers:
            assert workers == [7]
