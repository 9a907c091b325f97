"""Telling the dead from the living of one machine: each process holds locks on files of its own as long as it lives.

The kernel lets a lock go however its process ends, and only then. A process that can take it knows for certain that the
other is dead, and need not wait until it has been silent for long. One that stands still keeps its locks.
"""

import fcntl
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

_HIDDEN = "making-"
_LOCK = ".lock"


def make_private(folder: Path) -> None:
    """Make a folder that only we may enter, or keep all others out of one that is there. One that belongs to another
    user is left as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        with suppress(PermissionError):
            folder.chmod(0o700)


def hold(path: Path) -> IO[bytes]:
    """Make a file that this process has locked until it closes it or dies; others never see it unlocked."""
    making = path.with_name(f"{_HIDDEN}{path.name}")
    file = making.open("wb", buffering=0)
    fcntl.flock(file, fcntl.LOCK_EX)
    making.rename(path)
    return file


def reap(folder: Path, pattern: str = "*") -> list[tuple[Path, IO[bytes]]]:
    """The files of `folder` whose processes are dead, each open and locked. Of several that look at once each gets
    others; what is not ours to open is left out."""
    found = [path for path in folder.glob(pattern) if not path.name.startswith(_HIDDEN)]
    return [(path, file) for path in found if (file := _take(path)) is not None]


def _take(path: Path) -> IO[bytes] | None:
    try:
        file = path.open("r+b")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its process lives, or another has just taken it
        file.close()
        return None
    return file


class OwnFolder:
    """A folder, `path`, for what this process alone writes; the first writer makes it. It is removed at the end of
    the process, or by `clear_dead` once that is dead. The lock lies beside it: an empty file, for which there is nearly
    always room, and which stays until the folder is gone."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.path = root / secrets.token_hex(8)
        self._file = hold(_lock_of(self.path))

    def close(self) -> None:
        """The process ends in good order."""
        _remove(self.path)
        self._file.close()


def clear_dead(root: Path) -> None:
    """Remove the folders of processes that are dead. Safe at any time."""
    for lock, file in reap(root, f"*{_LOCK}"):
        _remove(lock.with_suffix(""))
        file.close()


def has_owner(path: Path) -> bool:
    """Whether it belongs to a process, dead or alive, as such a folder or its lock."""
    return not path.name.startswith(_HIDDEN) and (path.suffix == _LOCK or _lock_of(path).exists())


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(_LOCK)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():  # else it is tried again
        _lock_of(folder).unlink(missing_ok=True)
