"""Fetches the file of contacts that a `downloadUrl` names, once and whole, whatever the network does
meanwhile."""

import asyncio
import hashlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
)
from aiohttp.abc import AbstractResolver
from aiohttp.http_exceptions import ContentLengthError, HttpProcessingError, LineTooLong, TransferEncodingError
from yarl import URL

from caravan.addresses import check_url, connector, redacted, was_refused
from caravan.backoff import Backoff
from caravan.errors import AddressRefused, FileFailed, FileFailure, InvalidInput, Unavailable
from caravan.intake.pace import StoodStill, paced
from caravan.intake.ranges import Version, encoding_of, end_of_rest, is_part, version_of
from caravan.urls import follow

log = logging.getLogger(__name__)

Progress = Callable[[int], Awaitable[None] | None]
Sleep = Callable[[float], Awaitable[None]]

_MAX_REDIRECTS: Final = 5
_CHUNK: Final = 1 << 18  # bytes; aiohttp drops up to twice as many when a transfer breaks
_GAIN: Final = 1 << 20  # bytes after which a broken transfer counts as having got on, so attempts start anew
_HEADER: Final = 1 << 18  # bytes of one header, as in browsers; signed redirects have been longer than aiohttp's 8,190
_HEADERS: Final = 256
_LONGEST_PAUSE: Final = 300.0  # seconds; a server may ask for more in Retry-After
_TEMPORARY: Final = frozenset({408, 425, 429})
_HINTS: Final = {
    401: "; is its signature still valid?",
    403: "; is its signature still valid?",
    404: "; is the address right, and is the file still there?",
    410: "; is the file still there?",
}


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that arrived whole: its size in bytes and SHA-256 in hex, both as stored, and its
    Content-Encoding."""

    bytes: int
    sha256: str
    content_encoding: str | None  # lower case; None when the bytes are the content itself


class _BrokenOff(Exception):
    """An attempt failed in a way that another may not. The text completes "The download of … failed: "."""

    def __init__(self, why: str, retry_after: float = 0) -> None:
        self.retry_after = retry_after  # seconds, when the server named them
        super().__init__(why)


@dataclass(slots=True)
class _Part:
    """What has arrived so far, and of which version of the file that is."""

    file: BinaryIO
    done: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    version: Version | None = None  # None when it can't be resumed
    stop: int | None = None  # where the answer that is being received ends
    total: int | None = None
    encoding: str | None = None

    def restart(self, response: ClientResponse) -> None:
        """Forget what arrived; `response` sends the file from its first byte."""
        self.file.seek(0)
        self.file.truncate()
        self.done, self.digest = 0, hashlib.sha256()
        self.stop = self.total = response.content_length
        self.encoding = encoding_of(response)
        self.version = version_of(response)

    def write(self, chunk: bytes) -> None:
        """Append. Blocks, so it is called in a thread."""
        self.file.write(chunk)
        self.digest.update(chunk)
        self.done += len(chunk)


async def download(
    url: str,
    target: Path,
    *,
    allow_private: bool,
    max_bytes: int,
    timeout: float,  # noqa: ASYNC109 - it bounds each silence, not the call
    retry_delay: float,
    attempts: int = 5,
    sleep: Sleep = asyncio.sleep,
    progress: Progress | None = None,
    resolver: AbstractResolver | None = None,
) -> Downloaded:
    """Store what `url` answers in `target`, byte for byte as it was sent.

    `timeout` (seconds) bounds each connection, each wait for an answer and each silence. An attempt that
    breaks off is repeated after `retry_delay` seconds, doubling each time, and goes on where it broke if
    the server allows it (RFC 9110 §14); `attempts` is the number of tries in a row that bring less than 1
    MiB. `progress` is told the bytes so far. Raises `FileFailed` with DOWNLOAD_FAILED or TOO_LARGE and one
    sentence without secrets, `Unavailable` when it can't be stored here.
    """
    fetch = _Fetch(url, allow_private, max_bytes, timeout, progress)
    session_timeout = ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
    async with ClientSession(
        connector=connector(allow_private=allow_private, limit=2, cache_names=False, resolver=resolver),
        timeout=session_timeout,
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=_CHUNK,
        max_line_size=_HEADER,
        max_field_size=_HEADER,
        max_headers=_HEADERS,
    ) as session:
        with await asyncio.to_thread(target.open, "wb") as file:
            part = _Part(file)
            await _repeat(fetch, session, part, attempts, Backoff(retry_delay, 2, math.inf), sleep)
            return Downloaded(part.done, part.digest.hexdigest(), part.encoding)


async def _repeat(
    fetch: "_Fetch", session: ClientSession, part: _Part, attempts: int, backoff: Backoff, sleep: Sleep
) -> None:
    """Attempt until the file is whole; raise `FileFailed` after too many attempts that got nowhere."""
    failures, furthest = 0, 0
    while True:
        try:
            return await fetch.attempt(session, part)
        except _BrokenOff as trouble:
            failures = 1 if part.done >= furthest + _GAIN else failures + 1
            furthest = max(furthest, part.done)
            if failures >= attempts:
                raise fetch.failed(f"{trouble} ({attempts} attempts)") from None
            pause = max(backoff.delay(failures), min(trouble.retry_after, _LONGEST_PAUSE))
            log.info(
                "Download of %s broke off at byte %d: %s. Next attempt in %.1f s.",
                fetch.shown,
                part.done,
                trouble,
                pause,
            )
            await sleep(pause)


@dataclass(slots=True)
class _Fetch:
    url: str
    allow_private: bool
    max_bytes: int
    timeout: float
    progress: Progress | None

    @property
    def shown(self) -> str:
        return redacted(self.url)

    def failed(self, why: str) -> FileFailed:
        end = "" if why.endswith("?") else "."
        return FileFailed(FileFailure.DOWNLOAD_FAILED, f"The download of {self.shown} failed: {why}{end}")

    def too_large(self) -> FileFailed:
        return FileFailed(
            FileFailure.TOO_LARGE,
            f"The file at {self.shown} is larger than the {self.max_bytes:,} bytes allowed.",
        )

    async def attempt(self, session: ClientSession, part: _Part) -> None:
        """One go from the first address to the last byte."""
        try:
            async with self._answer(session, part) as response:
                self._place(response, part)
                await self._receive(response, part)
        except (AddressRefused, InvalidInput, InvalidURL, ClientConnectorCertificateError) as error:
            raise self.failed(_sentence(error)) from None
        except StoodStill as trouble:
            raise _BrokenOff(str(trouble)) from None
        except (ClientError, OSError) as error:  # TimeoutError is an OSError
            if was_refused(error):
                raise self.failed(_sentence(AddressRefused())) from None
            raise _BrokenOff(_reason(error, self.timeout)) from None

    @asynccontextmanager
    async def _answer(self, session: ClientSession, part: _Part) -> AsyncIterator[ClientResponse]:
        """The answer behind at most five redirects, each of them checked like the first address."""
        url = check_url(self.url, allow_private=self.allow_private)
        for _ in range(_MAX_REDIRECTS + 1):
            async with asyncio.timeout(self.timeout):
                response = await session.get(url, headers=_headers(part), allow_redirects=False)
            try:
                if response.status not in (301, 302, 303, 307, 308):
                    yield response
                    return
                url = self._next(url, response)
            finally:
                response.close()
        raise self.failed(f"it was redirected more than {_MAX_REDIRECTS} times")

    def _next(self, url: URL, response: ClientResponse) -> URL:
        location = response.headers.get("Location", "")
        try:
            target = follow(url, location) if location else None
        except ValueError:
            target = None
        if target is None:
            raise self.failed("it was redirected to nowhere")
        # User and password were given to the first address alone.
        return check_url(str(target.with_user(None)), allow_private=self.allow_private)

    def _place(self, response: ClientResponse, part: _Part) -> None:
        """Decide from status and headers where the answer's bytes belong."""
        status = response.status
        if status == 206 and part.version and part.done and (rest := end_of_rest(response, part.version, part.done)):
            part.stop, part.total = rest
            part.version = replace(part.version, total=part.total)
            return
        if (status in (206, 416) and part.done) or (status == 200 and is_part(response)):
            part.version = None
            raise _BrokenOff("only a part of the file was answered, and not the one that is missing")
        if status >= 500 or status in _TEMPORARY:
            raise _BrokenOff(f"the address answered {status}", _retry_after(response))
        if status != 200:
            raise self.failed(f"the address answered {status}{_HINTS.get(status, '')}")
        part.restart(response)

    async def _receive(self, response: ClientResponse, part: _Part) -> None:
        if part.total is not None and part.total > self.max_bytes:
            raise self.too_large()
        async for chunk in paced(response.content.iter_chunked(_CHUNK), self.timeout, self.timeout):
            if part.done + len(chunk) > self.max_bytes:
                raise self.too_large()
            if part.stop is not None and part.done + len(chunk) > part.stop:
                part.version = None
                raise _BrokenOff("more came than was announced")
            await self._store(part, chunk)
            await self._tell(part.done)
        if part.total is not None and part.done != part.total:
            raise _BrokenOff(f"it ended after {part.done:,} of {part.total:,} bytes")

    async def _store(self, part: _Part, chunk: bytes) -> None:
        try:
            await asyncio.to_thread(part.write, chunk)
        except OSError as error:  # no fault of the server's, and no reason to give up
            raise Unavailable(f"The download can't be stored here: {error.strerror}.") from error

    async def _tell(self, done: int) -> None:
        if self.progress is not None and (told := self.progress(done)) is not None:
            await told


def _headers(part: _Part) -> dict[str, str]:
    # identity: compressing on the way makes ranges and lengths useless; a stored .gz comes as it is all the
    # same.
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "Caravan"}
    if part.done and part.version:
        headers |= {"Range": f"bytes={part.done}-", "If-Range": part.version.validator}
    return headers


def _retry_after(response: ClientResponse) -> float:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


def _sentence(error: Exception) -> str:
    """Why there is no use in another attempt. Never the text of aiohttp's errors, which may hold the URL."""
    match error:
        case AddressRefused() | InvalidInput():
            text = error.message.rstrip(".")
            return text[:1].lower() + text[1:]
        case ClientConnectorCertificateError():
            return "its TLS certificate is not valid"
    return "the address is not a URL that can be read"


def _reason(error: Exception, timeout: float) -> str:
    match error:
        case TimeoutError():
            return f"nothing came for {timeout:g} seconds"
        case ClientConnectorDNSError():
            return "its host name was not found"
        case ClientConnectorError(os_error=ConnectionRefusedError()):
            return "its host refused the connection"
    causes = list(_causes(error))
    if any(isinstance(cause, LineTooLong) for cause in causes):
        return f"its answer has a header of more than {_HEADER:,} bytes"
    if any(isinstance(cause, ContentLengthError | TransferEncodingError) for cause in causes):
        return "the connection was lost"  # in the middle of the body; the next try goes on from there
    if any(isinstance(cause, HttpProcessingError) for cause in causes):
        return "its answer is not HTTP that can be read"
    return "the connection was lost"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
