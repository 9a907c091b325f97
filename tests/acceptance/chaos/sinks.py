"""Where mails and calls arrive: an SMTP and an HTTP server that count what they take, and can be away."""

import asyncio
import re
import socket
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from tests.acceptance.chaos.audience import unsigned

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([0-9a-v]{33,48})@", re.IGNORECASE | re.MULTILINE)
_KEY = re.compile(rb"^Idempotency-Key:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^Content-Length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"

T = TypeVar("T")


class Sink(asyncio.Protocol):
    """One connection. What has arrived whole is counted first and acknowledged then, so a cut between the two
    leaves the sender in the doubt that an orphaned window leaves."""

    def __init__(self, place: "Place") -> None:
        self._place, self._buffer = place, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._place.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._place.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._take():
            pass

    def _take(self) -> bool:
        """Take one thing out of the buffer; False if it holds none."""
        raise NotImplementedError

    def _until(self, mark: bytes) -> bytes | None:
        found, mark_found, rest = self._buffer.partition(mark)
        if not mark_found:
            return None
        self._buffer = rest
        return found


class Mails(Sink):
    """Just enough of RFC 5321, pipelined."""

    _content = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport.write(b"220 sink\r\n")

    def _take(self) -> bool:
        if self._content:
            return self._take_content()
        line = self._until(b"\r\n")
        if line is None:
            return False
        match line[:4].upper():
            case b"EHLO":
                self._transport.write(_EHLO)
            case b"DATA":
                self._content = True
                self._transport.write(b"354 go on\r\n")
            case b"QUIT":
                self._transport.write(b"221 bye\r\n")
                self._transport.close()
            case _:
                self._transport.write(b"250 OK\r\n")
        return True

    def _take_content(self) -> bool:
        mail = self._until(b"\r\n.\r\n")
        if mail is None:
            return False
        found = _MESSAGE_ID.search(mail)
        assert found is not None, mail
        self._place.take(found[1].decode())
        self._content = False
        self._transport.write(b"250 taken\r\n")
        return True


class Calls(Sink):
    """Just enough of RFC 9112 for requests that say their length."""

    def _take(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not end or len(rest) < size:
            return False
        self._buffer = rest[size:]
        key = _KEY.search(head)
        assert key is not None, head
        self._place.take(key[1].decode())
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True


class Place:
    """A port at which things arrive; `got` counts them by their unsigned key, and `arrived` has them in their order,
    each with its moment (monotonic seconds)."""

    def __init__(self, kind: type[Sink]) -> None:
        self._kind = kind
        self.port = 0
        self.got: Counter[str] = Counter()
        self.arrived: list[tuple[float, str]] = []
        self.connections: set[asyncio.Transport] = set()

    def take(self, key: str) -> None:
        """Something has arrived whole."""
        name = unsigned(key)
        self.got[name] += 1
        self.arrived.append((time.monotonic(), name))

    def between(self, start: float, stop: float) -> Iterator[str]:
        """The keys of what arrived in that time."""
        first, last = (bisect_left(self.arrived, each, key=itemgetter(0)) for each in (start, stop))
        return (key for _, key in self.arrived[first:last])

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._kind(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Be away: nobody listens, and all connections break."""
        self._server.close()
        for each in list(self.connections):
            each.abort()


class Door(Protocol):
    """What can be open or closed, at a port that stays the same."""

    port: int

    async def open(self) -> None: ...

    async def close(self) -> None: ...


async def _end_tasks() -> None:
    """Nothing is left open, to be found by whoever collects it later."""
    await asyncio.sleep(0.05)  # what was accepted last has begun, and can so end in order
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.05)  # aborted connections close in the loop's next turns


class Sinks:
    """Both places, and other doors, on a thread of their own; open inside `with`."""

    def __init__(self, *others: Door) -> None:
        self.mails, self.calls = Place(Mails), Place(Calls)
        self._doors: list[Door] = [self.mails, self.calls, *others]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Sinks":
        self._thread.start()
        for each in self._doors:
            self._do(each.open())
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._doors:
            self._do(each.close())
        self._do(_end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def cut(self, door: Door) -> Callable[[], None]:
        """Close a door; what is returned opens it again."""
        self._do(door.close())
        held = _hold(door.port)

        def bring_back() -> None:
            self._do(door.open())
            held.close()

        return bring_back

    def total(self) -> int:
        """Everything that has arrived so far."""
        return self.mails.got.total() + self.calls.got.total()


def _hold(port: int) -> socket.socket:
    """Keep a port on which nobody listens from being given to others as the near end of a connection."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    return held
