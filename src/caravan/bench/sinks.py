"""What takes mails and calls and throws them away, in processes of their own."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from caravan.channels.sandbox import Received, Sandbox
from caravan.errors import Unavailable

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_SECONDS = 10.0
_SYSTEM_PLACES = ("/usr/sbin", "/usr/lib/postfix/sbin", "/usr/libexec/postfix")


def program(name: str) -> str | None:
    """The path of a program of Postfix, if it is installed."""
    places = os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_PLACES])
    return shutil.which(name, path=places)


@contextmanager
def smtp_sink() -> Iterator[int]:
    """The port of Postfix's smtp-sink."""
    path = program("smtp-sink")
    assert path is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # It refuses to run as root.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with subprocess.Popen([path, *user, f"127.0.0.1:{port}", "1000"], cwd=Path("/")) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


@contextmanager
def sandbox_sink() -> Iterator[int]:
    """The port of the package's own sandbox."""
    with _serving(_sandbox) as (port, _):
        yield port


@contextmanager
def http_sink() -> Iterator[tuple[int, Callable[[], int]]]:
    """The port of an HTTP server that answers 200, and how many calls it has had so far."""
    with _serving(_http) as found:
        yield found


@dataclass(slots=True)
class Seen:
    """The mails that came, by their tag: what stands before the hyphen in the recipient's address."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, float] = field(default_factory=dict)  # when the first one came, in seconds since the epoch


@contextmanager
def watched_sink() -> Iterator[tuple[int, Callable[[], Seen]]]:
    """The port of a mail sink that keeps nothing, and what it has seen so far."""
    with _process(_watched) as (pipe, port):

        def look() -> Seen:
            pipe.send("count")
            seen: Seen = pipe.recv()
            return seen

        yield port, look


class _Watched(Sandbox):
    """Counts mails in place of keeping them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()

    async def keep(self, mail: Received) -> str:
        self.count += 1
        tag = mail.recipients[0].partition("-")[0]
        self.seen.counts[tag] += 1
        self.seen.first.setdefault(tag, time.time())
        return f"{self.count:06d}"


@contextmanager
def timed_sink() -> Iterator[tuple[int, Callable[[], dict[str, list[float]]]]]:
    """The port of a mail sink that keeps nothing, and when each mail came so far, by the recipient's domain: seconds
    since the epoch, in their order."""
    with _process(_timed) as (pipe, port):

        def look() -> dict[str, list[float]]:
            pipe.send("count")
            times: dict[str, list[float]] = pipe.recv()
            return times

        yield port, look


class _Timed(Sandbox):
    """Notes when mails come in place of keeping them."""

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[str, list[float]] = {}

    async def keep(self, mail: Received) -> str:
        self.count += 1
        self.times.setdefault(mail.recipients[0].rpartition("@")[2], []).append(time.time())
        return f"{self.count:06d}"


async def _timed(pipe: Connection) -> None:
    async with _Timed() as sandbox:
        pipe.send(int(sandbox.url.rpartition(":")[2]))
        await _answer(pipe, lambda: sandbox.times)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise Unavailable("The sink did not start.")


Serve = Callable[[Connection], Awaitable[None]]


@contextmanager
def _serving(serve: Serve) -> Iterator[tuple[int, Callable[[], int]]]:
    with _process(serve) as (pipe, port):

        def count() -> int:
            pipe.send("count")
            return int(pipe.recv())

        yield port, count


@contextmanager
def _process(serve: Serve) -> Iterator[tuple[Connection, int]]:
    """A server in a process of its own, until the end of the block: the pipe to it, and its port."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(serve, there), daemon=True)
    process.start()
    try:
        yield here, int(here.recv())
    finally:
        here.send("end")
        process.join(_SECONDS)


def _run(serve: Serve, pipe: Connection) -> None:
    asyncio.run(_until_end(serve, pipe))


async def _until_end(serve: Serve, pipe: Connection) -> None:
    await serve(pipe)


async def _answer(pipe: Connection, count: Callable[[], object]) -> None:
    """Tell the parent what it asks, until it says that it is enough."""
    while await asyncio.to_thread(pipe.recv) == "count":
        pipe.send(count())


async def _sandbox(pipe: Connection) -> None:
    async with Sandbox() as sandbox:
        pipe.send(int(sandbox.url.rpartition(":")[2]))
        await _answer(pipe, lambda: sandbox.count)


async def _watched(pipe: Connection) -> None:
    async with _Watched() as sandbox:
        pipe.send(int(sandbox.url.rpartition(":")[2]))
        await _answer(pipe, lambda: sandbox.seen)


async def _http(pipe: Connection) -> None:
    calls = Calls()
    server = await asyncio.get_running_loop().create_server(lambda: _Taker(calls), "127.0.0.1", 0)
    async with server:
        pipe.send(server.sockets[0].getsockname()[1])
        await _answer(pipe, lambda: calls.count)


class Calls:
    """How many calls there were."""

    def __init__(self) -> None:
        self.count = 0


class _Taker(asyncio.Protocol):
    """Just enough HTTP/1.1 to take requests that say their length, one after the other."""

    def __init__(self, calls: Calls) -> None:
        self._calls, self._buffer = calls, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (size := _size(self._buffer)) is not None:
            self._buffer = self._buffer[size:]
            self._calls.count += 1
            self._transport.write(_OK)


def _size(buffer: bytes) -> int | None:
    """How long the first request in it is; None if it is not whole."""
    head, end, rest = buffer.partition(b"\r\n\r\n")
    if not end:
        return None
    _, _, value = head.lower().partition(b"\r\ncontent-length:")
    length = int(value.partition(b"\r\n")[0] or 0)
    return len(head) + len(end) + length if len(rest) >= length else None
