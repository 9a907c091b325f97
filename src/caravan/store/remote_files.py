"""Files of contacts in an S3 bucket. Reading one means downloading it; nothing of that outlives its process."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caravan.store.bucket import Bucket
from caravan.store.inbox import Inbox
from caravan.store.process_locks import OwnFolder
from caravan.store.section import Section, Tick, patient


class RemoteFiles:
    """A store at `url`, like "s3://bucket/prefix". `downloads` is a folder of this machine for what is being read;
    `public` is the endpoint by which clients reach the store, where it is another."""

    def __init__(self, url: str, downloads: Path, endpoint: str | None = None, public: str | None = None) -> None:
        self._bucket = Bucket(url, endpoint)
        self._public = Bucket(url, public) if public else self._bucket
        self.inbox = Inbox(self._bucket, self._public)
        self._downloads = OwnFolder(downloads)

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
        self._downloads.path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._downloads.path) as folder:
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
