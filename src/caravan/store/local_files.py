"""Files of contacts in a folder of this machine."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from caravan.errors import Unavailable
from caravan.store.section import Section, Tick, patient

_TRIES = 5  # to delete a folder in which files appear meanwhile; a shared disk may show one for as long as it is open


class LocalFiles:
    """A store in a folder of this machine, or of a disk that all machines share."""

    inbox = None  # only Caravan writes here

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def put(self, local: Path, name: str) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _make_durable(local)
        try:
            local.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(local, target)
            local.unlink()
        _make_durable(target.parent)

    @contextmanager
    def local(self, name: str, tick: Tick = patient) -> Iterator[Path]:
        yield self._there(name)

    @contextmanager
    def section(self, name: str, start: int, stop: int, tick: Tick = patient) -> Iterator[Section]:
        yield Section(self._there(name), 0)

    def read(self, name: str, start: int, stop: int) -> bytes:
        with self._there(name).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def _there(self, name: str) -> Path:
        path = self.root / name
        if not _exists(path):
            raise FileNotFoundError(name)
        return path

    def delete_folder(self, name: str) -> None:
        for tries in count(1):
            try:
                return _delete_tree(self.root / name)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or tries == _TRIES:
                    raise

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        found = (self.root / folder).rglob("*")
        return sorted(str(path.relative_to(self.root)) for path in found if path.is_file())

    def check(self, seconds: float) -> None:
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise Unavailable("The store of files does not do as it should: its folder is gone, or can't be written.")

    def close(self) -> None:
        """There is nothing to let go of."""


def _exists(path: Path) -> bool:
    """What `Path.exists` says, but for a disk that is in trouble: Python 3.14 takes its errors for a no."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _delete_tree(folder: Path) -> None:
    """What `shutil.rmtree` does, but that what is gone already is no error: before Python 3.13 it minds if others
    delete the same. All other errors are raised."""

    def broke(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for parent, _, names in os.walk(folder, topdown=False, onerror=broke):
        for name in names:
            Path(parent, name).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            Path(parent).rmdir()


def _copy(local: Path, target: Path) -> None:
    """To another file system; what a full disk breaks off is not left there."""
    beside = target.with_name(target.name + ".part")
    try:
        shutil.copyfile(local, beside)
        _make_durable(beside)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _make_durable(path: Path) -> None:
    """Wait until the content of a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
