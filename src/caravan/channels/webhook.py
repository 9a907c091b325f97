"""The webhook channel: one HTTP call a contact, to an address that the customer chose."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientError,
    InvalidURL,
)
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict

from caravan.addresses import check_url, connector, was_refused
from caravan.channels.headers import header_problem, is_header_value, is_token
from caravan.channels.http_calls import Answer, HttpCalls, NoAnswer
from caravan.channels.replies import one_line
from caravan.clock import Clock
from caravan.delivery.places import Places
from caravan.delivery.result import Result, SendResult, asked_wait
from caravan.errors import AddressRefused, InvalidInput

_TEMPORARY: Final = frozenset({408, 425, 429})
_SHOWN: Final = 200  # characters of an answer
_KEEPALIVE: Final = 2.0  # seconds; common servers close after 5, and a call into a closing connection is unknown
_DEFAULTS: Final = {"User-Agent": "Caravan", "Accept": "*/*", "Accept-Encoding": "identity"}


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
        pool = connector(
            allow_private=self._allow_private,
            limit=self._connections,
            keepalive=_KEEPALIVE,
            resolver=self._resolver,
        )
        self._calls = HttpCalls(pool, self._timeout, _DEFAULTS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._calls.__aexit__(kind, error, trace)

    async def send(self, call: Call, on_data: Callable[[], None] | None = None) -> SendResult:
        """Make `call` once. See `Channel.send`."""
        async with self._places:
            under_way = _UnderWay(on_data)
            try:
                url = check_url(call.url, allow_private=self._allow_private)
                answer = await self._calls.ask(_method(call), url, _headers(call), call.body, under_way.begin)
            except (AddressRefused, InvalidInput) as error:
                return SendResult(Result.FAILED, error.message)
            except (ClientError, OSError) as error:  # TimeoutError is an OSError
                return _trouble(error, under_way.written, self._timeout)
        return _outcome(answer, self._clock.now())


@dataclass(slots=True)
class _UnderWay:
    """Whether a call has begun to go out."""

    on_data: Callable[[], None] | None
    written: bool = False

    def begin(self) -> None:
        if self.on_data is not None:
            self.on_data()
        self.written = True


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
    return headers


def _outcome(answer: Answer, now: datetime) -> SendResult:
    status, shown = answer.status, one_line(answer.beginning.decode("utf-8", "replace"), _SHOWN)
    note = "(redirects are not followed) " if 300 <= status < 400 else ""
    detail = f"{status} {note}{shown}".strip()
    if 200 <= status < 300:
        return SendResult(Result.SENT, detail)
    if status >= 500 or status in _TEMPORARY:
        return SendResult(Result.RETRY, detail, retry_after(answer.headers.get("Retry-After", ""), now))
    return SendResult(Result.FAILED, detail)


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


def _trouble(error: Exception, written: bool, timeout: float) -> SendResult:
    if was_refused(error):
        return SendResult(Result.FAILED, AddressRefused().message)
    late = isinstance(error, TimeoutError)
    if written and isinstance(error, NoAnswer):
        return SendResult(
            Result.UNKNOWN, "The request was sent, but the answer is not valid HTTP, or its head too long."
        )
    if written:
        why = f"no answer came for {timeout:g} seconds" if late else "the connection was lost"
        return SendResult(Result.UNKNOWN, f"The request was sent, then {why}.")
    match error:
        case InvalidURL():
            return SendResult(Result.FAILED, "The webhook's address can't be used.")
        case ClientConnectorDNSError():
            why = "its host name was not found"
        case ClientConnectorCertificateError():
            why = "its TLS certificate is not valid"
        case _:
            why = "its host did not answer" if late else "its host refused the connection or broke it off"
    return SendResult(Result.UNREACHABLE, f"The webhook was not called: {why}.")
