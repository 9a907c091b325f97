"""Which processes work on this machine: each holds a file of its own in the data folder for as long as it lives, which
tells the others, once it is dead, which workers were its."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from caravan.store.process_locks import hold, reap


class Presence:
    """This process's own file, which names its workers in the queue of one database."""

    def __init__(self, folder: Path, database: str) -> None:
        home = _home(folder, database)
        home.mkdir(parents=True, exist_ok=True)
        self._path = home / secrets.token_hex(8)
        self._file = hold(self._path)
        self._noted: set[int] = set()

    def note(self, worker: int) -> None:
        """This worker may get a job from now on: noted before, for a process may die with a job it has not begun."""
        if worker not in self._noted:
            with suppress(OSError):  # on a full disk: if it dies, its silence tells instead
                self._file.write(f"{worker}\n".encode())
                self._noted.add(worker)

    def close(self) -> None:
        """The process ends in good order: it leaves no job behind."""
        self._path.unlink(missing_ok=True)
        self._file.close()


@contextmanager
def dead_workers(folder: Path, database: str) -> Iterator[list[int]]:
    """The workers of processes that worked on this database and are dead; they are forgotten at the end of the
    block, unless it fails. Of several that look at once each gets others."""
    left = reap(_home(folder, database))
    try:
        yield [worker for _, file in left for worker in _noted(file)]
        for path, _ in left:
            path.unlink(missing_ok=True)
    finally:
        for _, file in left:
            file.close()


def _noted(file: IO[bytes]) -> Iterator[int]:
    """The workers that a file names. After a power cut some of it may be missing, and their silence tells instead."""
    with suppress(OSError):
        for line in file:
            if line.endswith(b"\n") and line.strip().isdigit():
                yield int(line)


def _home(folder: Path, database: str) -> Path:
    return folder / "present" / database
