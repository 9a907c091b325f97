"""One prefix of an S3 bucket, or of any store that speaks S3, through s3fs.

Each request is tried a few times with a growing delay; what fails then is `Unavailable`, which is waited out by
the caller. `FileNotFoundError` means that one object is not there, and nothing else. All calls block, and may
come from several threads at once; the work is done on fsspec's own thread.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from caravan.errors import InvalidSetting, Unavailable

PIECE = 16 << 20  # bytes that travel in one request; S3 wants at least 5 MiB in all parts but the last
_END = 1 << 62  # behind the end of any object
_AT_ONCE = 4  # pieces of one file under way; with PIECE, what bounds memory
_PAGE = 1_000  # objects in one page of a listing; S3 gives no more
_MOST_PARTS = 10_000  # S3 takes no more
_LARGEST_COPY = 5 << 30  # bytes; S3 copies no more in one request
_COPIED_PART = 1 << 30  # bytes of a larger object that are copied in one request
_TRIES = 4  # of a request
_BROKEN_READS = 4  # times that an answer may break off in its middle
_SILENCE = 20  # seconds without a byte, once a request is away
_OURS = ("botocore", "aiobotocore", "aiohttp", "fsspec", "s3fs")


@dataclass(frozen=True, slots=True)
class Object:
    """One object as a listing shows it; its name is relative to the bucket's prefix."""

    name: str
    size: int  # bytes
    etag: str  # changes with the content
    at: datetime  # when it was put


class Bucket:
    """The objects below `url`, like "s3://bucket/prefix", at an endpoint (None: AWS, or what its settings say).

    Credentials come from where all tools of AWS look: AWS_ACCESS_KEY_ID and so on, profiles, the machine's role.
    """

    def __init__(self, url: str, endpoint: str | None = None) -> None:
        self.url = url
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._fs = _open(endpoint)

    def upload(self, local: Path, name: str) -> None:
        """Put a local file under `name`; durable when this returns. A large one goes in parts."""
        pieces = {"chunksize": max(PIECE, -(-local.stat().st_size // _MOST_PARTS)), "max_concurrency": _AT_ONCE}
        with self._asking(name):
            self._fs.put_file(str(local), self._path(name), **pieces)

    def download(self, name: str, local: Path, tick: Callable[[], None], start: int = 0, stop: int = _END) -> None:
        """Get the object, or what of it lies from `start` up to `stop`, into a local file. `tick` is called now and
        then, and may raise. Raises `FileNotFoundError` if there is no such object."""
        with local.open("wb") as file, ThreadPoolExecutor(_AT_ONCE) as pool:
            for piece in self._pieces(name, pool, start, stop):
                tick()
                file.write(piece)

    def _pieces(self, name: str, pool: ThreadPoolExecutor, start: int, stop: int) -> Iterator[bytes]:
        """The object piece by piece: the first one alone, since most objects are small, then some at once."""
        yield (first := self.read(name, start, min(start + PIECE, stop)))
        if len(first) < PIECE:
            return
        starts = range(start + PIECE, stop, PIECE)
        for wave in count(0, _AT_ONCE):
            bounds = [(each, min(each + PIECE, stop)) for each in starts[wave : wave + _AT_ONCE]]
            pieces = list(pool.map(lambda each: self.read(name, *each), bounds))
            yield from pieces
            if not pieces or len(pieces[-1]) < PIECE:
                return

    def read(self, name: str, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`; behind the object's end there are none. Of a large object only a
        broken piece is read again. Raises `FileNotFoundError` if there is no such object."""
        for tries in count(1):
            try:
                return self._read(name, start, stop)
            except Unavailable as error:
                if not _broke_off(error.__cause__) or tries == _BROKEN_READS:
                    raise
        raise AssertionError

    def _read(self, name: str, start: int, end: int) -> bytes:
        with self._asking(name):
            try:
                return bytes(self._fs.cat_file(self._path(name), start=start, end=end))
            except OSError as error:
                if _code(error) in ("InvalidRange", "416"):
                    return b""
                raise

    def delete(self, name: str) -> None:
        """Delete one object; nothing happens if there is none."""
        with suppress(FileNotFoundError), self._asking(name):  # S3 does not tell, some others do
            self._fs.rm_file(self._path(name))

    def delete_all(self, names: list[str]) -> None:
        """Delete objects, some at once. One by one: not every store has S3's bulk delete, and s3fs hides its errors."""
        with ThreadPoolExecutor(2 * _AT_ONCE) as pool:
            list(pool.map(self.delete, names))

    def list(self, folder: str) -> list[Object]:
        """All objects below `folder`, by name."""
        token: dict[str, str] = {}
        found: list[Object] = []
        while True:
            below = f"{self._prefix}{folder.strip('/')}/"
            page = self._ask("list_objects_v2", Prefix=below, MaxKeys=_PAGE, **token)
            found += [self._object(each) for each in page.get("Contents", [])]
            if not page.get("IsTruncated"):
                return found
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def check(self, seconds: float) -> None:
        """Raise `Unavailable` unless the store lists our prefix within so many seconds: a bucket that is missing and
        credentials that are refused are told by that too. The words are for everybody, so they name no address."""
        try:
            # fsspec takes `timeout` out of the arguments.
            self._ask("list_objects_v2", Prefix=self._prefix, MaxKeys=1, timeout=seconds)
        except Unavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise Unavailable("The store of files does not answer.") from error
            why = _code(error) or type(error.__cause__).__name__
            raise Unavailable(f"The store of files does not do as it should: {why}.") from error

    def copy(self, source: Object, name: str) -> bool:
        """Copy an object within the store, only if it still is as it was listed; False if it is not."""
        target = {
            "CopySource": {"Bucket": self._bucket, "Key": self._key(source.name)},
            "CopySourceIfMatch": source.etag,
            "Key": self._key(name),
        }
        try:
            if source.size <= _LARGEST_COPY:
                # What the uploader said of its content is not ours to hand on.
                self._ask("copy_object", ContentType="text/plain", MetadataDirective="REPLACE", **target)
            else:
                self._copy_in_parts(source.size, target)
        except FileNotFoundError:
            return False
        except Unavailable as error:
            if _code(error) in ("PreconditionFailed", "412"):
                return False
            raise
        return True

    def _copy_in_parts(self, size: int, target: dict[str, Any]) -> None:
        made = self._ask("create_multipart_upload", Key=target["Key"], ContentType="text/plain")
        upload = {"Key": target["Key"], "UploadId": made["UploadId"]}
        try:
            parts = [
                self._copy_part(number, first, min(first + _COPIED_PART, size), {**target, **upload})
                for number, first in enumerate(range(0, size, _COPIED_PART), 1)
            ]
            self._ask("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts})
        except BaseException:
            self._ask("abort_multipart_upload", **upload)
            raise

    def _copy_part(self, number: int, start: int, end: int, upload: dict[str, Any]) -> dict[str, Any]:
        place = {"PartNumber": number, "CopySourceRange": f"bytes={start}-{end - 1}"}
        copied = self._ask("upload_part_copy", **upload, **place)
        return {"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]}

    def put_url(self, name: str, seconds: int) -> str:
        """A URL at which anybody may PUT the object `name` for some time. Nothing is asked of the store."""
        with self._asking(name):
            return str(self._fs.url(self._path(name), expires=seconds, client_method="put_object"))

    def close(self) -> None:
        """Close the connections, if there are any."""
        from fsspec.asyn import sync

        if self._fs._s3 is not None:
            sync(self._fs.loop, self._fs.connect().close)

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _path(self, name: str) -> str:
        return f"{self._bucket}/{self._key(name)}"

    def _object(self, listed: dict[str, Any]) -> Object:
        name = str(listed["Key"]).removeprefix(self._prefix)
        return Object(name, int(listed["Size"]), str(listed["ETag"]), listed["LastModified"])

    def _ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        with self._asking(str(arguments.get("Key", ""))):
            return dict(self._fs.call_s3(method, Bucket=self._bucket, **arguments))

    @contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        """Turn what the libraries raise into the two errors that callers know."""
        try:
            yield
        except Exception as error:
            if _code(error) in ("NoSuchKey", "404"):
                raise FileNotFoundError(name) from error
            if not _is_the_stores(error):
                raise
            words = " ".join(str(error).split()) or type(error).__name__
            raise Unavailable(f"The store of files at {self.url} does not do as it should: {words}") from error


def _open(endpoint: str | None) -> Any:
    """s3fs without its caches, which other machines' writes would make wrong, and with bounded patience."""
    try:
        from s3fs import S3FileSystem

        from caravan.store.s3_session import BoundedSession
    except ImportError:
        raise InvalidSetting("CARAVAN_FILES_URL names an S3 store; install caravan[s3] to use one.") from None
    fs = S3FileSystem(
        endpoint_url=endpoint,
        use_listings_cache=False,
        skip_instance_cache=True,
        config_kwargs={
            "connect_timeout": 5,
            "read_timeout": _SILENCE,
            "http_session_cls": BoundedSession,
            "retries": {"mode": "standard", "total_max_attempts": _TRIES},
            "max_pool_connections": 50,
            "signature_version": "s3v4",  # the older one would bind an upload to a Content-Type
            # Other stores than AWS often refuse the checksums that are newly sent without need.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
    )
    fs.retries = 1  # botocore's are enough; s3fs would multiply them
    return fs


def _code(error: BaseException | None) -> str | None:
    """S3's own code of an error, which s3fs hides behind one of the system's."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code"))
        error = error.__cause__
    return None


def _is_the_stores(error: Exception) -> bool:
    module = type(error).__module__.partition(".")[0]
    return _code(error) is not None or module in _OURS or isinstance(error, TimeoutError)


def _broke_off(error: BaseException | None) -> bool:
    """Whether an answer began and did not come to its end: botocore tries only what comes before again. Not its
    `ReadTimeoutError`, which is of an answer that never began and has been tried for often enough."""
    from aiobotocore.response import AioReadTimeoutError
    from aiohttp import ClientPayloadError
    from botocore.exceptions import IncompleteReadError, ResponseStreamingError
    from fsspec.exceptions import FSTimeoutError

    if isinstance(error, FSTimeoutError):  # fsspec's word for what it then has as the cause
        error = error.__cause__
    return isinstance(error, ClientPayloadError | IncompleteReadError | AioReadTimeoutError | ResponseStreamingError)
