"""Where clients put their files themselves, by the store's own pre-signed URLs (UPLOADS=direct)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from caravan.store.bucket import Bucket, Object

_FOLDER = "inbox"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that a client has put for a batch."""

    batch: str
    object: Object

    @property
    def bytes(self) -> int:
        """Its size as sent."""
        return self.object.size


class Inbox:
    """One place for each batch, which its URL is bound to. Whoever has the URL may write there again and again,
    so nothing is read from here: `take` copies what came to where no client can write."""

    def __init__(self, bucket: Bucket, public: Bucket) -> None:
        self._bucket = bucket
        self._public = public  # the same bucket at the address by which clients reach it
        self.signing = ThreadPoolExecutor(1, "signing")  # for `url`, which may have to ask for credentials

    def url(self, batch: str, seconds: int) -> str:
        """The URL to PUT the batch's file to, good for so long. Raises `Unavailable` without credentials."""
        return self._public.put_url(_place(batch), seconds)

    def arrivals(self) -> list[Arrival]:
        """All files that clients have put and that no job has taken out yet."""
        return [Arrival(each.name.split("/")[1], each) for each in self._bucket.list(_FOLDER)]

    def arrival(self, batch: str) -> Arrival | None:
        """What a client has put for a batch, if anything."""
        found = self._bucket.list(f"{_FOLDER}/{batch}")
        return Arrival(batch, found[0]) if found else None

    def take(self, arrival: Arrival, name: str) -> bool:
        """Copy a file to `name`; False if it is gone or another has been put in its place meanwhile."""
        if not self._bucket.copy(arrival.object, name):
            return False
        # Not every store minds the condition that a copy is made under.
        after = self.arrival(arrival.batch)
        if after is not None and after.object.etag == arrival.object.etag:
            return True
        self._bucket.delete(name)
        return False

    def drop(self, batch: str) -> None:
        """Delete what was put for a batch; nothing happens if there is nothing."""
        self._bucket.delete(_place(batch))


def _place(batch: str) -> str:
    return f"{_FOLDER}/{batch}/contacts"
