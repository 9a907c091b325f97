"""HTTP calls as cheap as Python can make them: on two cores the caller's own cost is part of what is measured."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import uvloop

from caravan.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Target:
    """Where the calls go: `POST path` at a port of this machine, with a token and a JSON body for each number."""

    port: int
    path: str
    token: str
    status: int

    def request(self, number: int) -> bytes:
        body = b'{"id": "%d", "properties": {"emailAddress": "c%d@example.com", "firstname": "Zo\\u00eb"}}' % (
            number,
            number,
        )
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(slots=True)
class Answered:
    """What came of some calls: the seconds that each took, and those of the whole."""

    seconds: float
    latencies: list[float] = field(default_factory=list)


class _Caller(asyncio.Protocol):
    """One connection, which makes one call at a time."""

    def __init__(self, target: Target, answered: Callable[["_Caller"], None]) -> None:
        self._expected, self._answered = b"HTTP/1.1 %d" % target.status, answered
        self._buffer = b""
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is none by its class

    def call(self, request: bytes, due: float) -> None:
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        if not head.startswith(self._expected):
            raise Unavailable(f"A call was answered with {head.partition(bytes([13]))[0].decode()}: {rest.decode()}")
        self._buffer = b""
        self._answered(self)


def full(target: Target, connections: int, seconds: float, first: int) -> Answered:
    """As many calls as possible, each connection with one under way at every moment."""
    return uvloop.run(_full(target, connections, seconds, first))


async def _full(target: Target, connections: int, seconds: float, first: int) -> Answered:
    numbers, begin = iter(range(first, first + 100_000_000)), time.perf_counter()
    over, found, running = asyncio.get_running_loop().create_future(), Answered(seconds), [connections]

    def answered(caller: _Caller) -> None:
        now = time.perf_counter()
        found.latencies.append(now - caller.due)
        if now - begin < seconds:
            caller.call(target.request(next(numbers)), now)
            return
        running[0] -= 1
        if not running[0] and not over.done():
            found.seconds = now - begin
            over.set_result(None)

    callers = await _connect(target, connections, answered)
    for caller in callers:
        caller.call(target.request(next(numbers)), time.perf_counter())
    await asyncio.wait_for(over, seconds + 60)
    _close(callers)
    return found


def paced(target: Target, connections: int, rate: float, seconds: float, first: int) -> Answered:
    """Calls at a steady pace; each counts from when it was due, however long it waits for a connection."""
    return uvloop.run(_paced(target, connections, rate, seconds, first))


async def _paced(target: Target, connections: int, rate: float, seconds: float, first: int) -> Answered:
    count, found = int(rate * seconds), Answered(seconds)
    free, waiting = deque[_Caller](), deque[tuple[int, float]]()
    over = asyncio.get_running_loop().create_future()

    def answered(caller: _Caller) -> None:
        found.latencies.append(time.perf_counter() - caller.due)
        free.append(caller)
        start()
        if len(found.latencies) == count and not over.done():
            over.set_result(None)

    def start() -> None:
        while free and waiting:
            number, due = waiting.popleft()
            free.popleft().call(target.request(number), due)

    callers = await _connect(target, connections, answered)
    free.extend(callers)
    begin = time.perf_counter()
    for due, number in _dues(begin, rate, first, count):
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        waiting.append((number, due))
        start()
    await asyncio.wait_for(over, seconds + 60)
    found.seconds = time.perf_counter() - begin
    _close(callers)
    return found


def _dues(begin: float, rate: float, first: int, count: int) -> Iterator[tuple[float, int]]:
    for index in range(count):
        yield begin + index / rate, first + index


async def _connect(target: Target, connections: int, answered: Callable[[_Caller], None]) -> list[_Caller]:
    loop, callers = asyncio.get_running_loop(), []
    for _ in range(connections):
        _, caller = await loop.create_connection(lambda: _Caller(target, answered), "127.0.0.1", target.port)
        callers.append(caller)
    return callers


def _close(callers: list[_Caller]) -> None:
    for caller in callers:
        caller.transport.close()
