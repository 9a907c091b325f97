"""The webhook channel: one HTTP call a contact, to an address that the customer chose."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace, TracebackType
from typing import Final, Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
    TraceConfig,
)
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict

from caravan.addresses import check_url, connector, was_refused
from caravan.channels.places import Places
from caravan.channels.replies import one_line
from caravan.channels.result import Delivery, Result
from caravan.clock import Clock
from caravan.errors import AddressRefused, InvalidInput

_TEMPORARY: Final = frozenset({408, 425, 429})
_SHOWN: Final = 200  # characters of an answer
_READ: Final = 4096  # octets of an answer; more is not waited for
_KEEPALIVE: Final = 2.0  # seconds; common servers close after 5, and a call into a closing connection is unknown
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2
_HEADER_VALUE: Final = re.compile("[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "idempotency-key"})


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
        self._places = Places(connections)
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
            trace_configs=[_tracing()],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, call: Call, on_data: Callable[[], None] | None = None) -> Delivery:
        """Make `call` once. See `Channel.send`."""
        async with self._places:
            under_way = _UnderWay(on_data)
            try:
                return await self._attempt(call, under_way)
            except (AddressRefused, InvalidInput) as error:
                return Delivery(Result.FAILED, error.message)
            except (ClientError, OSError) as error:  # TimeoutError is an OSError
                return _trouble(error, under_way.written, self._timeout)

    async def _attempt(self, call: Call, under_way: "_UnderWay") -> Delivery:
        url = check_url(call.url, allow_private=self._allow_private)
        async with self._session.request(
            _method(call),
            url,
            headers=_headers(call),
            data=call.body or None,
            allow_redirects=False,
            trace_request_ctx=under_way,
        ) as response:
            return _outcome(response, await _shown(response), self._clock.now())


@dataclass(slots=True)
class _UnderWay:
    """Learns from aiohttp when the request itself begins to go out."""

    on_data: Callable[[], None] | None
    written: bool = False

    def begin(self) -> None:
        if not self.written:
            self.written = True
            if self.on_data is not None:
                self.on_data()


def _tracing() -> TraceConfig:
    async def begin(session: ClientSession, context: SimpleNamespace, params: object) -> None:
        context.trace_request_ctx.begin()

    tracing = TraceConfig()
    # Both are the last moments before the request is written on a connection that stands.
    tracing.on_connection_create_end.append(begin)
    tracing.on_connection_reuseconn.append(begin)
    return tracing


def _method(call: Call) -> str:
    if not _TOKEN.fullmatch(call.method):
        raise InvalidInput("The webhook's method is not one that HTTP knows.")
    return call.method.upper()


def _headers(call: Call) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in call.headers.items():
        if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
            raise InvalidInput(f"The webhook's header {one_line(name, 60)!r} can't be set.")
        if not _HEADER_VALUE.fullmatch(value):
            raise InvalidInput(f"The webhook's header {name} has a value with a line end or control character.")
        headers[name] = value
    headers["Idempotency-Key"] = call.key
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
    """The seconds that a Retry-After header asks for, as a number or as a date (RFC 9110 §10.2.3)."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _trouble(error: Exception, written: bool, timeout: float) -> Delivery:
    if was_refused(error):
        return Delivery(Result.FAILED, AddressRefused().message)
    late = isinstance(error, TimeoutError)
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
