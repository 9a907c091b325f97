"""A PUT that is refused is told why, however its client writes, and starts nothing."""

import gzip
import socket
from collections.abc import AsyncIterator

import pytest

from caravan.api.app import create_app
from caravan.settings import Settings
from tests.integration.conftest import NDJSON, System
from tests.integration.journeys_for_tests import EXIT, contacts
from tests.unit.api.sockets import Writer, serving

TEN = contacts(10)
MIB = 1 << 20


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_file_bytes": 20 * MIB})


@pytest.fixture
async def writer(idle_system: System) -> AsyncIterator[Writer]:
    await idle_system.publish(EXIT)
    async with serving(create_app(idle_system.engine)) as port:
        yield Writer(port)


async def opened(system: System) -> tuple[str, str]:
    """The path of an uploadUrl, and its batch."""
    answer = (await system.post("batchtrigger/v2", {"entityId": 1})).json()
    return "/" + answer["uploadUrl"].split("/", 3)[3], answer["batchId"]


async def nothing_started(system: System, batch: str) -> bool:
    return (await system.batch(batch))["state"] == "awaiting_upload"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 33-329/330"},
        {"Content-Range": "bytes 0-329/330"},
        {"Content-Range": "bytes */330"},
        {"Content-Range": ""},
        {"content-range": "nonsense"},
        {"Upload-Offset": "33"},
        {"Upload-Complete": "?0"},
    ],
)
async def test_a_part_of_a_file_is_400(idle_system: System, headers: dict[str, str]) -> None:
    await idle_system.publish(EXIT)
    path, batch = await opened(idle_system)
    answer = await idle_system.http.put(path, content=TEN[33:], headers={**NDJSON, **headers})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert next(iter(headers)).lower() in answer.json()["error"].lower()
    assert await nothing_started(idle_system, batch)
    whole = await idle_system.http.put(path, content=TEN, headers=NDJSON)
    assert whole.status_code == 200


async def test_a_whole_file_may_say_that_it_is_whole(idle_system: System) -> None:
    await idle_system.publish(EXIT)
    path, _ = await opened(idle_system)
    answer = await idle_system.http.put(path, content=TEN, headers={**NDJSON, "Upload-Complete": "?1"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "multipart/form-data; boundary=x")],
        [("Content-Type", "multipart/byteranges; boundary=x")],
        [("Content-Type", "application/x-www-form-urlencoded")],
        [("Content-Type", "text/plain"), ("Content-Type", "application/json")],
        [("Content-Type", "text/plain"), ("Content-Encoding", "gzip"), ("Content-Encoding", "zstd")],
        [("Content-Type", "text/plain"), ("Content-Encoding", "gzip, gzip")],
        [("Content-Type", "text/plain"), ("Content-Encoding", "aws-chunked")],
        [],
    ],
)
async def test_what_is_not_one_file_of_text_is_415(idle_system: System, headers: list[tuple[str, str]]) -> None:
    await idle_system.publish(EXIT)
    path, batch = await opened(idle_system)
    answer = await idle_system.http.put(path, content=gzip.compress(TEN), headers=headers)
    assert answer.status_code == 415
    assert await nothing_started(idle_system, batch)


PUT = "PUT {path} HTTP/1.1\nHost: x\nContent-Type: text/plain\n"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Content-Length: 20\nContent-Length: 300", TEN),
        ("Content-Length: 20, 300", TEN),
        ("Content-Length: -1", TEN),
        ("Content-Length: +20", TEN),
        ("Content-Length: 0x20", TEN),
        ("Transfer-Encoding: gzip", gzip.compress(TEN)),
        ("Transfer-Encoding: gzip, chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked, chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\nTransfer-Encoding: identity", b"5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: xchunked", b"5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"zz\r\nhello\r\n0\r\n\r\n"),
        ("X: y", b""),
    ],
)
async def test_a_body_whose_length_is_not_clear_is_refused(
    idle_system: System, writer: Writer, head: str, body: bytes
) -> None:
    path, batch = await opened(idle_system)
    answer = await writer.ask(PUT.format(path=path) + head, body)
    assert answer[:11] in (b"HTTP/1.1 40", b"HTTP/1.1 50")
    assert await nothing_started(idle_system, batch)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (f"Content-Length: {len(TEN) + 1}", TEN),
        ("Transfer-Encoding: chunked", b"5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", b"5\r\nhel"),
        ("Transfer-Encoding: chunked\nContent-Length: 5", b"5\r\nhello\r\n"),
    ],
)
async def test_a_body_that_ends_early_starts_nothing(
    idle_system: System, writer: Writer, head: str, body: bytes
) -> None:
    def breaks_off(connection: socket.socket) -> bytes:
        connection.sendall((PUT.format(path=path) + head).replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(65_536)

    path, batch = await opened(idle_system)
    answer = await writer.within(breaks_off)
    assert not answer.startswith(b"HTTP/1.1 200")
    await idle_system.until(batch, lambda found: found["state"] == "awaiting_upload")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Content-Type: application/json", 415),
        ("Content-Type: text/plain\nContent-Range: bytes 1-9/10", 400),
        ("Content-Type: text/plain\nContent-Encoding: br", 415),
        ("Content-Type: text/plain", 413),
    ],
)
@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_a_client_that_writes_50_mb_before_it_reads_is_told(
    idle_system: System, writer: Writer, head: str, status: int, connection: str
) -> None:
    path, batch = await opened(idle_system)
    head = f"PUT {path} HTTP/1.1\nHost: x\nConnection: {connection}\nContent-Length: {50 * MIB}\n{head}"
    answer = await writer.ask(head, bytes(MIB), times=50)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in answer
    assert await nothing_started(idle_system, batch)


async def test_so_is_one_whose_chunks_become_too_many(idle_system: System, writer: Writer) -> None:
    path, batch = await opened(idle_system)
    chunk = b"100000\r\n" + b"x" * MIB + b"\r\n"
    answer = await writer.ask(PUT.format(path=path) + "Connection: close\nTransfer-Encoding: chunked", chunk, times=50)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert await nothing_started(idle_system, batch)


async def test_so_is_one_with_a_wrong_signature_and_one_that_is_too_late(idle_system: System, writer: Writer) -> None:
    path, _ = await opened(idle_system)
    wrong = path[:-1] + ("A" if path[-1] != "A" else "B")
    sizes = f"Connection: close\nContent-Length: {50 * MIB}"
    forbidden = await writer.ask(PUT.format(path=wrong) + sizes, bytes(MIB), times=50)
    await idle_system.turn(hours=13)
    gone = await writer.ask(PUT.format(path=path) + sizes, bytes(MIB), times=50)
    assert (forbidden[:12], gone[:12]) == (b"HTTP/1.1 403", b"HTTP/1.1 410")


async def test_other_calls_are_told_too(idle_system: System, writer: Writer) -> None:
    head = f"PUT /{idle_system.customer}/journeys/1 HTTP/1.1\nHost: x\nConnection: close\nContent-Length: {50 * MIB}"
    answer = await writer.ask(head, bytes(MIB), times=50)
    assert answer.startswith(b"HTTP/1.1 401 ")
