"""What all gateways for text messages have in common: a request, and what its answer means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Final, Protocol, Self

from aiohttp import ClientError
from multidict import CIMultiDict

from caravan.addresses import check_url, connector
from caravan.channels.headers import header_problem, is_header_value, is_token
from caravan.channels.http_attempt import UnderWay, trouble
from caravan.channels.http_calls import Answer, HttpCalls
from caravan.channels.replies import one_line
from caravan.channels.sms.returned import Posted, Reply, Report
from caravan.channels.sms.text import Text, clean
from caravan.clock import Clock
from caravan.delivery.places import Places
from caravan.delivery.result import Result, SendResult
from caravan.errors import InvalidInput, InvalidSetting, RenderFailed
from caravan.masking import Masker

WHOM: Final = "The SMS gateway"
READ: Final = 64 << 10  # octets of an answer
_KEEPALIVE: Final = 2.0  # seconds; common servers close after 5, and a call into a closing connection is unknown
_LONGEST_DETAIL: Final = 300
_DEFAULTS: Final = {"User-Agent": "Caravan", "Accept": "application/json, */*", "Accept-Encoding": "identity"}

#: Hears what goes over the wire: "C" what this side says, "S" what the gateway says.
Tell = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request that sends one message."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Gateway(Protocol):
    """A service that sends text messages."""

    @property
    def name(self) -> str:
        """One word for it, like twilio."""
        ...

    @property
    def place(self) -> str:
        """Where it is, for people; without secrets."""
        ...

    @property
    def secrets(self) -> Sequence[str]:
        """What must not be shown anywhere."""
        ...

    def request(self, text: Text) -> Request:
        """What sends this message. Raises `InvalidSetting` where it can send none, `RenderFailed` where not this."""
        ...

    def meaning(self, answer: Answer, now: datetime) -> SendResult:
        """What an answer means."""
        ...

    def verified(self, posted: Posted, now: datetime) -> bool:
        """Whether a call that came in is the gateway's own."""
        ...

    def reports(self, posted: Posted) -> list[Report]:
        """What it says about messages that it was given. Raises `InvalidInput`."""
        ...

    def replies(self, posted: Posted) -> list[Reply]:
        """What recipients answered. Raises `InvalidInput`."""
        ...


class SmsChannel:
    """Gives text messages to a gateway, at most `connections` at once; each may take `timeout` seconds. The gateway is
    of the operator's choice, so it may stand at a private address."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        connections: int = 20,
        timeout: float = 30,
        clock: Clock | None = None,
        tell: Tell | None = None,
    ) -> None:
        self.gateway = gateway
        self._places, self._connections, self._timeout = Places(connections), connections, timeout
        self._clock, self._tell = clock or Clock(), tell
        self._masker = Masker(gateway.secrets)

    async def __aenter__(self) -> Self:
        pool = connector(allow_private=True, limit=self._connections, keepalive=_KEEPALIVE)
        self._calls = HttpCalls(pool, self._timeout, _DEFAULTS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._calls.__aexit__(kind, error, trace)

    async def send(self, text: Text, on_data: Callable[[], None] | None = None) -> SendResult:
        """Give `text` to the gateway once. See `Channel.send`."""
        async with self._places:
            sent = await self._send(text, UnderWay(on_data))
        detail = one_line(self._masker.text(sent.detail), _LONGEST_DETAIL)
        if sent.result is Result.SENT:
            count = text.size.segments
            detail = f"{detail} ({count} segment{'s' if count > 1 else ''}, {text.size.encoding})"
        return replace(sent, detail=detail)

    async def _send(self, text: Text, under_way: UnderWay) -> SendResult:
        try:
            request = self.gateway.request(text)
            url, headers = check_url(request.url, allow_private=True), checked_headers(request)
            self._say("C", f"{request.method} {url}", *(f"{name}: {value}" for name, value in headers.items()))
            self._say("C", *request.body.decode("utf-8", "replace").split("\n"))
            answer = await self._calls.ask(request.method, url, headers, request.body, under_way.begin, READ)
        except InvalidSetting as error:
            return SendResult(Result.UNREACHABLE, f"{WHOM} was not called: {error.message}")
        except (InvalidInput, RenderFailed) as error:
            return SendResult(Result.FAILED, error.message)
        except (ClientError, OSError) as error:  # TimeoutError is an OSError
            return trouble(error, under_way, self._timeout, WHOM)
        self._say("S", str(answer.status), *answer.beginning.decode("utf-8", "replace").split("\n"))
        return self.gateway.meaning(answer, self._clock.now())

    def _say(self, who: str, *lines: str) -> None:
        if self._tell is not None:
            for line in filter(None, lines):
                self._tell(who, clean(self._masker.text(line)))


def checked_headers(request: Request) -> CIMultiDict[str]:
    """The headers of a request. Raises `InvalidInput` for what can't be one."""
    if not is_token(request.method):
        raise InvalidInput("The SMS gateway's method is not one that HTTP knows.")
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in request.headers.items():
        if (problem := header_problem(name)) is not None and name.lower() != "idempotency-key":
            raise InvalidInput(f"The header '{one_line(name, 60)}' {problem}.")
        if not is_header_value(value):
            raise InvalidInput(f"The header {name} has a value with a line end or control character.")
        headers[name] = value
    return headers
