"""What killed processes leave half-written on a machine."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caravan.queue.recovery import clear_left, clear_old
from caravan.store.process_locks import OwnFolder

_AT_WORK = """
import sys, time
from pathlib import Path
from caravan.store.process_locks import OwnFolder
folders = [OwnFolder(Path(sys.argv[1]) / name) for name in ("scratch", "uploads", "downloads")]
for folder in folders:
    (folder.path / "one").mkdir(parents=True)
    (folder.path / "one" / "expanded").write_bytes(b"half a fi")
print(flush=True)
time.sleep(60)
"""


def _write(path: Path, age: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half a fi")
    for each in (path, path.parent):
        os.utime(each, (time.time() - age, time.time() - age))
    return path


@pytest.mark.parametrize("name", ["scratch/one/expanded", "scratch/part.parquet", "uploads/b_1-abc"])
def test_is_removed_when_it_is_old(folder: Path, name: str) -> None:
    left = _write(folder / name, age=3600)
    clear_old(folder, seconds=7200)
    assert left.exists()
    clear_old(folder, seconds=1800)
    assert not left.exists()
    assert not (folder / "scratch" / "one").exists()


def test_stays_while_one_file_of_its_folder_is_new(folder: Path) -> None:
    old = _write(folder / "scratch/one/download", age=3600)
    new = _write(folder / "scratch/one/expanded", age=0)
    os.utime(new.parent, (0, 0))
    clear_old(folder, seconds=1800)
    assert old.exists() and new.exists()


def test_nothing_else_of_the_data_folder_is_touched(folder: Path) -> None:
    kept = _write(folder / "files/batches/b_1/cohort.parquet", age=3600)
    clear_old(folder, seconds=1800)
    assert kept.exists()


def test_what_a_process_left_is_removed_as_soon_as_it_is_dead_and_not_while_it_stands_still(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _AT_WORK, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        clear_left(folder)
        kept = list(folder.rglob("expanded"))
        process.kill()
    assert len(kept) == 3
    clear_left(folder)
    assert [list((folder / name).iterdir()) for name in ("scratch", "uploads", "downloads")] == [[], [], []]


def test_a_process_that_ends_in_good_order_removes_its_own_folder_and_no_other(folder: Path) -> None:
    own, other = OwnFolder(folder / "scratch"), OwnFolder(folder / "scratch")
    for each in (own, other):
        _write(each.path / "one/expanded", age=0)
    own.close()
    assert not own.path.exists()
    assert (other.path / "one/expanded").exists()
    other.close()
    assert list((folder / "scratch").iterdir()) == []


def test_the_folder_of_a_process_that_lives_stays_however_old_it_is(folder: Path) -> None:
    own = OwnFolder(folder / "scratch")
    kept = _write(own.path / "expanded", age=3600)
    for each in (folder / "scratch").iterdir():
        os.utime(each, (0, 0))
    clear_old(folder, seconds=1800)
    assert kept.exists()
    own._file.close()  # what the kernel does when a process ends: the lock tells, and it is still there
    clear_left(folder)
    assert not kept.exists()


def test_where_a_folder_can_not_be_removed_just_now_it_is_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = OwnFolder(folder / "scratch")
    _write(dead.path / "expanded", age=0)
    dead._file.close()
    with monkeypatch.context() as hindered:
        hindered.setattr(shutil, "rmtree", lambda *_, **__: None)
        clear_left(folder)
    assert dead.path.exists()
    clear_left(folder)
    assert list((folder / "scratch").iterdir()) == []


def test_downloads_of_an_older_version_are_removed_once_it_is_dead(folder: Path) -> None:
    lock = _write(folder / "downloads/files-1/.in-use", age=0)
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        clear_left(folder)
        assert lock.exists()
    clear_left(folder)
    assert not lock.parent.exists()
