"""Where files of contacts are kept: a local folder, or anything that fsspec reaches (s3://…).

Names are relative, like "batches/b_7f3/cohorts/12.parquet". A file is whole and durable once `put` returns,
and never changes after that (law 2).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol


class Files(Protocol):
    """A store of immutable files. All calls block: from a coroutine, call them in a thread."""

    def put(self, local: Path, name: str) -> None:
        """Move a local file into the store under `name`; what was there is replaced."""

    def local(self, name: str) -> Any:
        """A context manager that gives a local path to read `name` from. FileNotFoundError if there is none."""

    def delete_folder(self, name: str) -> None:
        """Delete everything below `name`; nothing happens if there is nothing."""

    def delete(self, name: str) -> None:
        """Delete one file; nothing happens if there is none."""

    def names(self, folder: str) -> list[str]:
        """The names of all files below `folder`, sorted."""


class LocalFiles:
    """Files in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def put(self, local: Path, name: str) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _make_durable(local)
        try:
            local.replace(target)
        except OSError:  # another file system
            beside = target.with_name(target.name + ".part")
            shutil.copyfile(local, beside)
            _make_durable(beside)
            beside.replace(target)
            local.unlink()
        _make_durable(target.parent)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        path = self.root / name
        if not path.exists():
            raise FileNotFoundError(name)
        yield path

    def delete_folder(self, name: str) -> None:
        shutil.rmtree(self.root / name, ignore_errors=True)

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        found = (self.root / folder).rglob("*")
        return sorted(str(path.relative_to(self.root)) for path in found if path.is_file())


class RemoteFiles:
    """Files in an object store, through fsspec."""

    def __init__(self, url: str, scratch: Path) -> None:
        import fsspec

        self._system, self._root = fsspec.core.url_to_fs(url)
        self._scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def put(self, local: Path, name: str) -> None:
        self._system.put_file(str(local), self._path(name))
        local.unlink()

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            path = Path(folder) / Path(name).name
            self._system.get_file(self._path(name), str(path))
            yield path

    def delete_folder(self, name: str) -> None:
        if self._system.exists(self._path(name)):
            self._system.rm(self._path(name), recursive=True)

    def delete(self, name: str) -> None:
        if self._system.exists(self._path(name)):
            self._system.rm_file(self._path(name))

    def names(self, folder: str) -> list[str]:
        start = len(self._root.rstrip("/")) + 1
        self._system.invalidate_cache()
        return sorted(path[start:] for path in self._system.find(self._path(folder)))


def open_files(url: str | None, folder: Path) -> LocalFiles | RemoteFiles:
    """The store at `url`; without one, the folder `files` of the data folder."""
    if url is None:
        return LocalFiles(folder / "files")
    if "://" not in url:
        return LocalFiles(Path(url).expanduser().resolve())
    if url.startswith("file://"):
        return LocalFiles(Path(url.removeprefix("file://")))
    return RemoteFiles(url, folder / "scratch")


def _make_durable(path: Path) -> None:
    """Wait until the content of a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
