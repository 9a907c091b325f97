"""An answer that comes before the body was read arrives, and the connection does not stay open for ever."""

import socket
import time
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from caravan.api.linger import Lingering
from tests.unit.api.sockets import Writer, read_answer, serving

MIB = 1 << 20
FIRST_LINES = ["PUT /no HTTP/1.1", "PUT /no?read=1 HTTP/1.1", "POST /no HTTP/1.1", "PUT /no HTTP/1.0"]


async def _refuses(request: Request) -> PlainTextResponse:
    if size := int(request.query_params.get("read", 0)):
        async for chunk in request.stream():
            size -= len(chunk)
            if size <= 0:
                break
    return PlainTextResponse("no", 415)


async def _takes(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


def app(**limits: Any) -> Lingering:
    routes = [Route("/no", _refuses, methods=["GET", "PUT", "POST"]), Route("/yes", _takes, methods=["PUT"])]
    return Lingering(Starlette(routes=routes), **limits)


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
@pytest.mark.parametrize("first", FIRST_LINES)
async def test_a_client_that_writes_50_mb_first_reads_the_answer(first: str, connection: str) -> None:
    async with serving(app()) as port:
        head = f"{first}\nHost: x\nConnection: {connection}\nContent-Length: {50 * MIB}"
        answer = await Writer(port).ask(head, bytes(MIB), times=50)
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert answer.endswith(b"no")


async def test_so_does_one_that_sends_chunks() -> None:
    async with serving(app()) as port:
        head = "PUT /no HTTP/1.1\nHost: x\nTransfer-Encoding: chunked"
        chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
        answer = await Writer(port).ask(head, chunk, times=50)
    assert answer.startswith(b"HTTP/1.1 415 ")


async def test_one_that_reads_early_need_not_write_the_rest() -> None:
    def reads_early(connection: socket.socket) -> bytes:
        connection.sendall(b"PUT /no HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nx")
        return read_answer(connection)

    async with serving(app()) as port:
        begin = time.monotonic()
        answer = await Writer(port).within(reads_early)
        assert time.monotonic() - begin < 2
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()


async def test_one_that_waits_for_100_continue_is_told_at_once_and_never_to_continue() -> None:
    def waits(connection: socket.socket) -> bytes:
        head = b"PUT /no HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
        connection.sendall(head)
        return read_answer(connection)

    async with serving(app()) as port:
        answer = await Writer(port).within(waits)
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"100 Continue" not in answer


def seconds_until_closed(connection: socket.socket, length: int, pieces: int, pause: float = 0) -> tuple[bytes, float]:
    """Write some MiB of a body, then wait for the end of the connection."""
    begin = time.monotonic()
    connection.sendall(f"PUT /no HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
    answer = b""
    try:
        for _ in range(pieces):
            connection.sendall(bytes(MIB))
            time.sleep(pause)
        while more := connection.recv(65_536):
            answer += more
    except ConnectionError:
        pass
    return answer, time.monotonic() - begin


async def test_a_client_that_falls_silent_is_left() -> None:
    async with serving(app(silence=0.3)) as port:
        answer, seconds = await Writer(port).within(lambda it: seconds_until_closed(it, 1 << 30, 2))
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert 0.2 < seconds < 5


async def test_a_client_that_goes_on_for_too_long_is_left() -> None:
    async with serving(app(seconds=0.4)) as port:
        _, seconds = await Writer(port).within(lambda it: seconds_until_closed(it, 1 << 30, 200, 0.02))
    assert seconds < 5


async def test_a_client_that_sends_too_much_is_left() -> None:
    async with serving(app(most=4 * MIB)) as port:
        _, seconds = await Writer(port).within(lambda it: seconds_until_closed(it, 1 << 30, 1000))
    assert seconds < 10


async def test_after_a_small_body_the_connection_goes_on() -> None:
    def twice(connection: socket.socket) -> list[bytes]:
        answers = []
        for path in (b"/no", b"/yes"):
            connection.sendall(b"PUT " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
            answers.append(read_answer(connection))
        return answers

    async with serving(app()) as port:
        refused, taken = await Writer(port).within(twice)
    assert refused.startswith(b"HTTP/1.1 415 ")
    assert taken.startswith(b"HTTP/1.1 200 ") and taken.endswith(b"5")


async def test_a_call_without_a_body_is_answered_as_ever() -> None:
    async with serving(app()) as port:
        answer = await Writer(port).ask("GET /no HTTP/1.1\nHost: x")
    assert answer.startswith(b"HTTP/1.1 415 ")
