"""The webhook channel: one HTTP call a contact, to an address that the customer chose."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self

from aiohttp import ClientError
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict

from caravan.addresses import check_url, connector
from caravan.channels.headers import header_problem, is_header_value, is_token
from caravan.channels.http_attempt import UnderWay, trouble
from caravan.channels.http_calls import READ, Answer, HttpCalls
from caravan.channels.replies import one_line
from caravan.channels.webhook_save import LONGEST_ANSWER, NothingSaved, Saver
from caravan.channels.webhook_signing import SecretName, SigningSecrets, signature_headers
from caravan.clock import Clock
from caravan.delivery.places import Places
from caravan.delivery.result import Result, SendResult, asked_wait
from caravan.errors import AddressRefused, InvalidInput, InvalidSetting

_TEMPORARY: Final = frozenset({408, 425, 429})
_BUSY: Final = frozenset({429, 503})  # with Retry-After: whoever calls is to wait (RFC 9110 §15.6.4, RFC 6585 §4)
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
    secret: SecretName | None = None  # signs the call
    save: Saver | None = None  # what of the answer becomes properties of the contact


class WebhookChannel:
    """Makes calls to public addresses, unless `allow_private`. To be opened (`async with`) in a running
    event loop.

    At most `connections` calls are under way at once, and each may take `timeout` seconds. `secrets` sign calls
    (default: those of the environment). `resolver` finds the addresses of a host name (default: the system's).
    """

    def __init__(
        self,
        *,
        connections: int = 50,
        timeout: float = 30,
        allow_private: bool = False,
        clock: Clock | None = None,
        secrets: SigningSecrets | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._places = Places(connections)
        self._connections = connections
        self._timeout = timeout
        self._allow_private = allow_private
        self._clock = clock or Clock()
        self._secrets = secrets or SigningSecrets(None)
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
            under_way = UnderWay(on_data)
            try:
                url = check_url(call.url, allow_private=self._allow_private)
                headers = _headers(call)
                self._sign(call, headers)
                most = READ if call.save is None else LONGEST_ANSWER + 1
                answer = await self._calls.ask(_method(call), url, headers, call.body, under_way.begin, most)
            except InvalidSetting as error:
                return SendResult(Result.UNREACHABLE, f"The webhook was not called: {error.message}")
            except (AddressRefused, InvalidInput) as error:
                return SendResult(Result.FAILED, error.message)
            except (ClientError, OSError) as error:  # TimeoutError is an OSError
                return trouble(error, under_way, self._timeout, "The webhook")
        sent = _outcome(answer, self._clock.now())
        return (
            sent if call.save is None or sent.result is not Result.SENT else _saved(sent, call.save, answer.beginning)
        )

    def _sign(self, call: Call, headers: CIMultiDict[str]) -> None:
        """Add the signature of this attempt. Raises `InvalidSetting` where there is no secret for it."""
        if call.secret is not None:
            secrets, now = self._secrets.of(call.secret), int(self._clock.now().timestamp())
            headers.update(signature_headers(secrets, call.key, now, call.body))


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


def _saved(sent: SendResult, saver: Saver, answer: bytes) -> SendResult:
    """The same, with what is to be kept of the answer. That nothing can be does not make it untrue that it was sent."""
    try:
        found = saver.found(answer)
    except NothingSaved as why:
        return replace(sent, detail=f"{sent.detail} (nothing was saved: {why})")
    return replace(sent, saved=json.dumps(found)) if found else sent


def _outcome(answer: Answer, now: datetime) -> SendResult:
    status, shown = answer.status, one_line(answer.beginning.decode("utf-8", "replace"), _SHOWN)
    note = "(redirects are not followed) " if 300 <= status < 400 else ""
    detail = f"{status} {note}{shown}".strip()
    if 200 <= status < 300:
        return SendResult(Result.SENT, detail)
    if status >= 500 or status in _TEMPORARY:
        wait = retry_after(answer.headers.get("Retry-After", ""), now)
        return SendResult(Result.RETRY, detail, wait, busy=wait is not None and status in _BUSY)
    return SendResult(Result.FAILED, detail, gone=status == 410)


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
