"""HTTP/1.1 calls over aiohttp's connections and parser, without its session.

aiohttp's connector pools, resolves, dials and encrypts, and its parser reads the answer. Between them its session makes
half a dozen objects and a task a call for redirects, cookies, proxies, uploads and tracing; a webhook has none.
"""

import asyncio
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from aiohttp import ClientError, ClientRequest, ClientTimeout, TCPConnector
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

_LONGEST_HEADER: Final = 256 << 10  # octets; Chrome's limit for all headers of an answer, Firefox's is higher
_MOST_HEADERS: Final = 10_000
READ: Final = 4_096  # octets of an answer; more is not waited for, unless the caller asks for it
_MOST_ORIGINS: Final = 1_000
_NO_TIMEOUT: Final = ClientTimeout(total=None)  # one of our own is around all


class NoAnswer(ClientError):
    """What came back is not HTTP, or its head is too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one call."""

    status: int
    headers: CIMultiDictProxy[str]
    beginning: bytes  # of the body, at most so many octets as were asked for, as far as they came


class HttpCalls:
    """Makes calls through `connector`, which it closes at its end. A call may take `timeout` seconds."""

    def __init__(self, connector: TCPConnector, timeout: float, defaults: Mapping[str, str]) -> None:
        """`defaults` are the headers of each call that does not set them itself."""
        self._connector = connector
        self._timeout = timeout
        self._defaults = defaults
        self._origins: dict[URL, ClientRequest] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connector.close()

    async def ask(
        self,
        method: str,
        url: URL,
        headers: CIMultiDict[str],
        body: bytes,
        begin: Callable[[], None],
        most: int = READ,
    ) -> Answer:
        """Call `url` once; redirects are not followed. `begin` is called just before the first octet goes out, and
        `most` octets of the answer are read.

        Names and values of `headers` must be clean (channels/headers.py). Raises ClientError and OSError (also
        TimeoutError).
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        octets = self._head(method, url, headers, body) + body
        async with asyncio.timeout_at(deadline):
            connection = await self._connector.connect(self._origin(url), traces=[], timeout=_NO_TIMEOUT)
        try:
            async with asyncio.timeout_at(deadline):
                begin()
                status, found, payload = await self._exchange(connection, method, octets)
            beginning = await _beginning(payload, deadline, most)
        except BaseException:
            connection.close()
            raise
        connection.release()  # which closes it if there is more of the answer
        return Answer(status, found, beginning)

    async def _exchange(
        self, connection: Connection, method: str, octets: bytes
    ) -> tuple[int, CIMultiDictProxy[str], StreamReader]:
        protocol = connection.protocol
        assert protocol is not None and protocol.transport is not None
        protocol.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,  # 64 KB of answer can hide 64 MB
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            max_headers=_MOST_HEADERS,
        )
        protocol.transport.write(octets)
        try:
            while True:
                message, payload = await protocol.read()
                if message.code >= 200 or message.code == 101:
                    return message.code, message.headers, payload
        except HttpProcessingError as error:
            raise NoAnswer from error

    def _head(self, method: str, url: URL, headers: CIMultiDict[str], body: bytes) -> bytes:
        lines = [f"{method} {url.raw_path_qs} HTTP/1.1", f"Host: {url.host_port_subcomponent}"]
        lines += [f"{name}: {value}" for name, value in self._defaults.items() if name not in headers]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if url.raw_user is not None and "Authorization" not in headers:
            login = f"{url.user}:{url.password or ''}".encode()
            lines.append(f"Authorization: Basic {b64encode(login).decode('ascii')}")  # RFC 7617
        if body or method not in ClientRequest.GET_METHODS:
            lines.append(f"Content-Length: {len(body)}")
        lines.append("\r\n")
        return "\r\n".join(lines).encode("utf-8")

    def _origin(self, url: URL) -> ClientRequest:
        """What the connector needs to know of where to: the same for each call of one origin."""
        origin = url.origin()
        if (known := self._origins.get(origin)) is None:
            if len(self._origins) >= _MOST_ORIGINS:
                self._origins.clear()
            known = self._origins[origin] = ClientRequest("POST", origin, loop=asyncio.get_running_loop())
        return known


async def _beginning(payload: StreamReader, deadline: float, most: int) -> bytes:
    """As much as is wanted, as far as it comes; the status alone decides, so what goes wrong here is no matter."""
    data = b""
    with suppress(ClientError, OSError):
        async with asyncio.timeout_at(deadline):
            while len(data) < most and (chunk := await payload.read(most - len(data))):
                data += chunk
    return data
