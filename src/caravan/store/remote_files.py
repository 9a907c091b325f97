"""Files of contacts in an S3 bucket. Reading one means downloading it; nothing of that outlives its process."""

import fcntl
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from caravan.store.bucket import Bucket
from caravan.store.inbox import Inbox
from caravan.store.section import Section, Tick, patient

_LOCK = ".in-use"


class RemoteFiles:
    """A store at `url`, like "s3://bucket/prefix". `downloads` is a folder of this machine for what is being read;
    `public` is the endpoint by which clients reach the store, where it is another."""

    def __init__(self, url: str, downloads: Path, endpoint: str | None = None, public: str | None = None) -> None:
        self._bucket = Bucket(url, endpoint)
        self._public = Bucket(url, public) if public else self._bucket
        self.inbox = Inbox(self._bucket, self._public)
        self._downloads = _Downloads(downloads)

    def put(self, local: Path, name: str) -> None:
        self._bucket.upload(local, name)
        local.unlink()

    @contextmanager
    def local(self, name: str, tick: Tick = patient) -> Iterator[Path]:
        with self._temporary(name) as path:
            self._bucket.download(name, path, tick)
            yield path

    @contextmanager
    def section(self, name: str, start: int, stop: int, tick: Tick = patient) -> Iterator[Section]:
        with self._temporary(name) as path:
            self._bucket.download(name, path, tick, start, stop)
            yield Section(path, start)

    def read(self, name: str, start: int, stop: int) -> bytes:
        return self._bucket.read(name, start, stop)

    @contextmanager
    def _temporary(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._downloads.folder) as folder:
            yield Path(folder) / Path(name).name

    def delete_folder(self, name: str) -> None:
        self._bucket.delete_all(self.names(name))

    def delete(self, name: str) -> None:
        self._bucket.delete(name)

    def names(self, folder: str) -> list[str]:
        return sorted(each.name for each in self._bucket.list(folder))

    def check(self, seconds: float) -> None:
        self._bucket.check(seconds)

    def close(self) -> None:
        """Close the connections and remove what was downloaded."""
        self._bucket.close()
        if self._public is not self._bucket:
            self._public.close()
        self._downloads.close()


class _Downloads:
    """A folder that this process alone uses. The kernel lets its lock go however the process ends, and the next
    one that comes removes the folder."""

    def __init__(self, root: Path) -> None:
        name = secrets.token_hex(8)
        making = root / f"making-{name}"
        making.mkdir(parents=True)
        self._lock = (making / _LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.folder = making.rename(root / f"files-{name}")  # locked before others see it
        for other in root.glob("files-*"):
            _remove_if_left(other)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _remove_if_left(folder: Path) -> None:
    with suppress(OSError), (folder / _LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
