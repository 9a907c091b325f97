"""Who works on this machine: each process holds a lock on a file of its own in the data folder as long as it lives.

The kernel lets the lock go however the process ends, and only then. So whoever can take it knows for certain that
the process is dead, and need not wait until it has been silent for long. One that stands still keeps its lock.
"""

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_HIDDEN = "making-"


class Presence:
    """This process's own file, which names its workers in the queue of one database."""

    def __init__(self, folder: Path, database: str) -> None:
        home = _home(folder) / database
        home.mkdir(parents=True, exist_ok=True)
        name = secrets.token_hex(8)
        making = home / f"{_HIDDEN}{name}"
        self._file = making.open("wb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._path = making.rename(home / name)  # locked before others see it
        self._noted: set[int] = set()

    def note(self, worker: int) -> None:
        """This worker is about to do its first job."""
        if worker not in self._noted:
            with suppress(OSError):  # on a full disk: if it dies, its silence tells instead
                self._file.write(f"{worker}\n".encode())
                self._noted.add(worker)

    def close(self) -> None:
        """The process ends in good order: it leaves no job behind."""
        self._path.unlink(missing_ok=True)
        self._file.close()


@contextmanager
def departed(folder: Path, database: str) -> Iterator[list[int]]:
    """The workers of processes that worked on this database and are dead; they are forgotten at the end of the
    block, unless it fails. Of several that look at once each gets others."""
    left = [(path, file) for path in _files(_home(folder) / database) if (file := _take(path)) is not None]
    try:
        yield [int(line) for _, file in left for line in file]
        for path, _ in left:
            path.unlink(missing_ok=True)
    finally:
        for _, file in left:
            file.close()


def anyone(folder: Path) -> bool:
    """Whether any process works on this data folder, on whichever database."""
    for path in _files(_home(folder)):
        if (file := _take(path)) is None:
            return True
        file.close()
    return False


def _home(folder: Path) -> Path:
    return folder / "present"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(_HIDDEN)]


def _take(path: Path) -> IO[str] | None:
    """The file, locked; None if its process lives, or another has just taken it."""
    with suppress(FileNotFoundError):
        file = path.open("r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return file
    return None
