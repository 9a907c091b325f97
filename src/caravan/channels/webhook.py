"""The webhook channel: one HTTP call a contact, to an address that the customer chose."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientError,
    ClientRequest,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
)
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from caravan.addresses import check_url, connector, was_refused
from caravan.channels.headers import header_problem, is_header_value, is_token
from caravan.channels.replies import one_line
from caravan.channels.result import Delivery, Result, asked_wait
from caravan.clock import Clock
from caravan.errors import AddressRefused, InvalidInput

_TEMPORARY: Final = frozenset({408, 425, 429})
_SHOWN: Final = 200  # characters of an answer
_READ: Final = 4096  # octets of an answer; more is not waited for
_LONGEST_HEADER: Final = 256 << 10  # octets; Chrome's limit for all headers of an answer, Firefox's is higher
_MOST_HEADERS: Final = 10_000
_KEEPALIVE: Final = 2.0  # seconds; common servers close after 5, and a call into a closing connection is unknown


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is ready to be made for one contact."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    key: str  # goes out as Idempotency-Key: the delivery's, the same at each attempt


class WebhookChannel:
    """Makes calls to public addresses, unless `allow_private`. To be opened (`async with`) in a running
    event loop.

    At most `connections` calls are under way at once, and each may take `timeout` seconds. `resolver` finds
    the addresses of a host name (default: the system's).
    """

    def __init__(
        self,
        *,
        connections: int = 50,
        timeout: float = 30,
        allow_private: bool = False,
        clock: Clock | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._places = asyncio.Semaphore(connections)
        self._connections = connections
        self._timeout = timeout
        self._allow_private = allow_private
        self._clock = clock or Clock()
        self._resolver = resolver

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=connector(
                allow_private=self._allow_private,
                limit=self._connections,
                keepalive=_KEEPALIVE,
                resolver=self._resolver,
            ),
            timeout=ClientTimeout(total=self._timeout),
            cookie_jar=DummyCookieJar(),
            headers={"User-Agent": "Caravan", "Accept-Encoding": "identity"},
            auto_decompress=False,  # 64 KB of answer can hide 64 MB
            request_class=_Request,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            max_headers=_MOST_HEADERS,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, call: Call, on_data: Callable[[], None] | None = None) -> Delivery:
        """Make `call` once. See `Channel.send`."""
        async with self._places:
            under_way = _UnderWay(call.body, on_data)
            _UNDER_WAY.set(under_way)
            try:
                return await self._attempt(call)
            except (AddressRefused, InvalidInput) as error:
                return Delivery(Result.FAILED, error.message)
            except (ClientError, OSError) as error:  # TimeoutError is an OSError
                return _trouble(error, under_way.written, self._timeout)

    async def _attempt(self, call: Call) -> Delivery:
        url = check_url(call.url, allow_private=self._allow_private)
        async with self._session.request(
            _method(call),
            url,
            headers=_headers(call),
            allow_redirects=False,
        ) as response:
            return _outcome(response, await _shown(response), self._clock.now())


@dataclass(slots=True)
class _UnderWay:
    """What goes out for one call, and whether it has begun to."""

    body: bytes
    on_data: Callable[[], None] | None
    written: bool = False


_UNDER_WAY: ContextVar[_UnderWay] = ContextVar("_UNDER_WAY")


class _Request(ClientRequest):
    """A request whose head and body go out in one write, on a connection that stands.

    aiohttp starts a task for each body, and tells of that moment only by tracing, which takes a dozen awaits a call.
    """

    async def send(self, conn: Connection) -> ClientResponse:
        """Write it. It is in doubt from here on until the answer has come."""
        under_way = _UNDER_WAY.get()
        assert conn.protocol is not None
        writer = StreamWriter(conn.protocol, self.loop)
        await writer.write_headers(
            f"{self.method} {self.url.raw_path_qs} HTTP/1.1", self.headers
        )  # held until the body
        if under_way.on_data is not None:
            under_way.on_data()
        under_way.written = True
        await writer.write_eof(under_way.body)
        conn.protocol.start_timeout()
        return self.response_class(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self._session,
            stream_writer=writer,
        )


def _method(call: Call) -> str:
    if not is_token(call.method):
        raise InvalidInput("The webhook's method is not one that HTTP knows.")
    return call.method.upper()


def _headers(call: Call) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in call.headers.items():
        if (problem := header_problem(name)) is not None:
            raise InvalidInput(f"The webhook's header '{one_line(name, 60)}' {problem}.")
        if not is_header_value(value):
            raise InvalidInput(f"The webhook's header {name} has a value with a line end or control character.")
        headers[name] = value
    headers["Idempotency-Key"] = call.key
    if call.body or call.method.upper() not in ClientRequest.GET_METHODS:
        headers["Content-Length"] = str(len(call.body))
    return headers


async def _shown(response: ClientResponse) -> str:
    """The beginning of the answer, as far as it comes; the status alone decides, so trouble here is no
    matter."""
    data = b""
    with suppress(ClientError, OSError):
        while len(data) < _READ and (chunk := await response.content.read(_READ - len(data))):
            data += chunk
    return one_line(data.decode("utf-8", "replace"), _SHOWN)


def _outcome(response: ClientResponse, shown: str, now: datetime) -> Delivery:
    status = response.status
    note = "(redirects are not followed) " if 300 <= status < 400 else ""
    detail = f"{status} {note}{shown}".strip()
    if 200 <= status < 300:
        return Delivery(Result.SENT, detail)
    if status >= 500 or status in _TEMPORARY:
        return Delivery(Result.RETRY, detail, retry_after(response.headers.get("Retry-After", ""), now))
    return Delivery(Result.FAILED, detail)


def retry_after(value: str, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for, as a number or as a date (RFC 9110 §10.2.3), as `asked_wait`
    bounds them; None for what is neither."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return asked_wait(float(value[:20]))
    try:
        moment = parsedate_to_datetime(value)
        return asked_wait((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp())
    except (ValueError, OverflowError):
        return None


def _trouble(error: Exception, written: bool, timeout: float) -> Delivery:
    if was_refused(error):
        return Delivery(Result.FAILED, AddressRefused().message)
    late = isinstance(error, TimeoutError)
    if written and isinstance(error, ClientResponseError):
        return Delivery(Result.UNKNOWN, "The request was sent, but the answer is not valid HTTP, or its head too long.")
    if written:
        why = f"no answer came for {timeout:g} seconds" if late else "the connection was lost"
        return Delivery(Result.UNKNOWN, f"The request was sent, then {why}.")
    match error:
        case InvalidURL():
            return Delivery(Result.FAILED, "The webhook's address can't be used.")
        case ClientConnectorDNSError():
            why = "its host name was not found"
        case ClientConnectorCertificateError():
            why = "its TLS certificate is not valid"
        case _:
            why = "its host did not answer" if late else "its host refused the connection or broke it off"
    return Delivery(Result.UNREACHABLE, f"The webhook was not called: {why}.")
