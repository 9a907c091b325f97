"""Reads on what a client still sends once its call is answered, so that the answer arrives.

Many clients write all of a body before they read. If the server closes while bytes are on their way, TCP tells the
client of a reset and may throw the answer away (RFC 9112 §9.6): a PUT that was refused by its headers would look like a
broken network, and be repeated. So an early answer goes out at once, and then the rest of the body is read and dropped,
up to a limit.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MOST: Final = 1 << 30  # bytes that are dropped
_SECONDS: Final = 30.0  # that it may take in all
_SILENCE: Final = 5.0  # seconds in which nothing comes
_SMALL: Final = 1 << 16  # bytes of a body after which the connection may be used again


@dataclass(frozen=True, slots=True)
class Lingering:
    """ASGI middleware for all calls that have a body."""

    app: ASGIApp
    most: int = _MOST
    seconds: float = _SECONDS
    silence: float = _SILENCE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        length = _length(scope) if scope["type"] == "http" else 0
        if length == 0:
            await self.app(scope, receive, send)
            return
        call = _Call(self, length, receive, send)
        await self.app(scope, call.receive, call.send)


def _length(scope: Scope) -> int | None:
    """Bytes of the call's body; None where it does not say."""
    found = {name: value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")}
    if b"transfer-encoding" in found:
        return None
    length = found.get(b"content-length", b"0")
    return int(length) if length.isdigit() else None


class _Call:
    """One call whose body may not be read to its end."""

    def __init__(self, limits: Lingering, length: int | None, receive: Receive, send: Send) -> None:
        self._limits, self._length = limits, length
        self._receive, self._send = receive, send
        self._ended = False  # the body, or the connection
        self._dropped = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if self._ended:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._send(self._closing(message))
            self._ended = message["status"] == 408  # what would be waited for did not come before either
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._drop_the_rest()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    def _closing(self, start: Message) -> Message:
        """Tell a client that reads early that the rest of a large body is not wanted."""
        if self._length is not None and self._length <= _SMALL:
            return start
        headers = [header for header in start.get("headers", []) if header[0].lower() != b"connection"]
        return {**start, "headers": [*headers, (b"connection", b"close")]}

    async def _drop_the_rest(self) -> None:
        try:
            async with asyncio.timeout(self._limits.seconds):
                while not self._ended and self._dropped < self._limits.most:
                    async with asyncio.timeout(self._limits.silence):
                        message = await self.receive()
                    self._dropped += len(message.get("body", b""))
        except TimeoutError:
            return
