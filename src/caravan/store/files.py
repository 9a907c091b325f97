"""Where files of contacts are kept: a local folder, or a store that speaks S3.

Names are relative, like "batches/b_7f3/cohorts/12.parquet". A file is whole and durable once `put` returns,
and never changes after that.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from caravan.errors import InvalidSetting
from caravan.store.inbox import Inbox
from caravan.store.local_files import LocalFiles
from caravan.store.remote_files import RemoteFiles
from caravan.store.section import Section, Tick, patient

__all__ = ["Draft", "Files", "LocalFiles", "RemoteFiles", "Section", "in_thread", "open_files"]

Got = TypeVar("Got")


class Files(Protocol):
    """A store of immutable files. All calls block, and may come from several threads at once: from a coroutine,
    call them in a thread. A store that is away raises `Unavailable` or `OSError`."""

    @property
    def inbox(self) -> Inbox | None:
        """Where clients may put files themselves, if the store has such a place."""

    def put(self, local: Path, name: str) -> None:
        """Move a local file into the store under `name`; what was there is replaced."""

    def local(self, name: str, tick: Tick = patient) -> AbstractContextManager[Path]:
        """A context manager that gives a local path to read `name` from. `tick` is called now and then while that
        takes long, and may raise. FileNotFoundError if there is no such file."""

    def section(self, name: str, start: int, stop: int, tick: Tick = patient) -> AbstractContextManager[Section]:
        """The same for a file that has at least the bytes from `start` up to `stop`, or to the file's end."""

    def read(self, name: str, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`, or to the file's end. FileNotFoundError if there is no such file."""

    def delete_folder(self, name: str) -> None:
        """Delete everything below `name`; nothing happens if there is nothing."""

    def delete(self, name: str) -> None:
        """Delete one file; nothing happens if there is none."""

    def names(self, folder: str) -> list[str]:
        """The names of all files below `folder`, sorted."""

    def check(self, seconds: float) -> None:
        """Raise `Unavailable`, in words for everybody, unless the store is there and lets us in. Asks little of it,
        and a remote one for so long at most."""

    def close(self) -> None:
        """Let go of what the store has open."""


class Draft:
    """Files that are put into a store before the commit that names them. If the block fails they are deleted: else
    each attempt on a disk that is nearly full would leave less room for the next. Blocks, and may be used by several
    threads at once.

    A block that also commits calls `keep` before that: a commit whose answer is lost may have been made."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._names: list[str] = []
        self._kept = False

    def keep(self) -> None:
        """From here on the files may be named: they stay, whatever happens."""
        self._kept = True

    def put(self, local: Path, name: str) -> None:
        """See `Files.put`."""
        self._names.append(name)
        self._files.put(local, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or self._kept:
            return
        # A store that is away as well would keep us for each name anew; the sweep of the ended batch finds the rest.
        with suppress(Exception):
            for name in self._names:
                self._files.delete(name)


@asynccontextmanager
async def in_thread(got: AbstractContextManager[Got]) -> AsyncIterator[Got]:
    """`files.local` or `files.section` for coroutines: getting a large file takes long, and must not stop
    everything else."""
    value = await asyncio.to_thread(got.__enter__)
    try:
        yield value
    finally:
        await asyncio.to_thread(got.__exit__, None, None, None)


def open_files(
    url: str | None, folder: Path, *, endpoint: str | None = None, public: str | None = None
) -> LocalFiles | RemoteFiles:
    """The store at `url`; without one, the folder `files` of the data folder.

    `endpoint` is the address of an S3 store that is not AWS, `public` the one by which clients reach it.
    Raises `InvalidSetting` for a URL of another kind.
    """
    if url is None:
        return LocalFiles(folder / "files")
    kind, separator, rest = url.partition("://")
    if not separator:
        return LocalFiles(Path(url).expanduser().resolve())
    if kind == "file":
        return LocalFiles(Path(rest))
    if kind != "s3" or not rest.strip("/"):
        raise InvalidSetting(f"CARAVAN_FILES_URL can't be {url!r}; name a folder, or s3://bucket/prefix.")
    return RemoteFiles(url, folder / "downloads", endpoint, public)
