"""A server on a real socket, and clients that write first and read then."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import uvicorn

Got = TypeVar("Got")


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """The port at which `app` is served as it is by `caravan serve`."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells by nothing else
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


@dataclass(frozen=True)
class Writer:
    """A client that writes its whole request before it reads."""

    port: int

    async def ask(self, head: str, body: bytes = b"", times: int = 1) -> bytes:
        """Send the head and `times` the body; the answer."""
        return await asyncio.to_thread(self._ask, head, body, times)

    def _ask(self, head: str, body: bytes, times: int) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.settimeout(20)
            connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
            for _ in range(times):
                connection.sendall(body)
            return read_answer(connection)

    async def within(self, work: Callable[[socket.socket], Got]) -> Got:
        """What `work` makes of a connection, in a thread."""

        def run() -> Got:
            with socket.create_connection(("127.0.0.1", self.port)) as connection:
                connection.settimeout(20)
                return work(connection)

        return await asyncio.to_thread(run)


def read_answer(connection: socket.socket) -> bytes:
    """One answer with a Content-Length; or what comes until the server closes, up to 64 KiB."""
    answer = b""
    while not _whole(answer) and len(answer) < 65_536 and (more := connection.recv(65_536)):
        answer += more
    return answer


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    _, found, length = head.lower().partition(b"content-length: ")
    return bool(end and found) and len(body) >= int(length.split(b"\r\n")[0])
