"""The SDK in an event loop, before servers that say what the test wrote for them, over a real socket."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from caravan.client import AsyncClient, CallFailed, Client, Started
from caravan.errors import InvalidInput
from tests.unit.client.test_client import AWAY, OPENED, TAKEN, Answer, Server, _entry, _event

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(*answers: Answer, patience: float = 60) -> AsyncIterator[tuple[Server, AsyncClient]]:
    server = Server(*answers)
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    try:
        async with AsyncClient(server.url, 7, "t", patience=patience) as client:
            yield server, client
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


@asynccontextmanager
async def speaking(speak: Speak) -> AsyncIterator[AsyncClient]:
    """A client of a server in this loop."""
    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, AsyncClient(f"http://{host}:{port}", 7, "t", timeout=30) as client:
        yield client


def test_it_has_every_call_of_the_other_client_with_the_same_words() -> None:
    for name, call in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_"):
            own = getattr(AsyncClient, name)
            assert own.__doc__ == call.__doc__
            assert list(inspect.signature(own, follow_wrapped=False).parameters)[:1] == ["self"]


def test_calls_that_are_not_only_passed_on_take_the_same_arguments() -> None:
    for name in ("upload", "start_file", "start_batch"):
        theirs, ours = (inspect.signature(getattr(each, name), follow_wrapped=False) for each in (Client, AsyncClient))
        defaults = ({name: each.default for name, each in call.parameters.items()} for call in (theirs, ours))
        assert next(defaults) == next(defaults)


async def test_calls_are_under_way_at_the_same_time() -> None:
    together = asyncio.Barrier(20)

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await together.wait()  # nobody is answered before all have called
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\nConnection: close\r\n\r\n[{"name": "email"}]')
        await writer.drain()
        writer.close()

    async with speaking(speak) as client, asyncio.timeout(30):
        found = await asyncio.gather(*(client.channels() for _ in range(20)))
    assert found == [[{"name": "email"}]] * 20


async def test_a_pause_before_a_call_is_repeated_holds_up_nothing_else() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async with serving(None, AWAY, TAKEN) as (server, client):
        ticking = asyncio.create_task(tick())
        started = await client.start_url(4, "https://files.example.com/c", key="k")
        ticking.cancel()
    assert started.batch == "b_1"
    assert len(server.asked) == 3
    assert ticks > 20  # the pauses are 0.5 and 1 second


async def test_a_failure_is_one_sentence() -> None:
    async with serving((404, '{"error": "There is no batch b_1."}'), None) as (_, client):
        with pytest.raises(CallFailed, match="There is no batch"):
            await client.batch("b_1")
        with pytest.raises(CallFailed, match="does not answer"):
            await client.pause("b_1")


async def test_what_is_streamed_comes_as_it_is_asked_for_and_fails_where_it_breaks_off() -> None:
    async with serving((200, f'{_entry(1)}\n{_entry(2)}\n{{"li', "cut")) as (_, client):
        journal = client.journal("b_1")
        assert [(await anext(journal)).line for _ in range(2)] == [1, 2]
        with pytest.raises(CallFailed, match="does not answer"):
            await anext(journal)


async def test_events_go_on_over_connections_that_break() -> None:
    answers = [(200, _event(None), "cut"), AWAY, (200, _event(None) + _event("2026-01-01"))]
    async with serving(*answers) as (server, client):
        found = [each.finished_at is not None async for each in client.events("b_1")]
    assert found == [False, False, True]
    assert len(server.asked) == 3


async def test_a_call_that_is_cancelled_ends_at_once_and_leaves_its_connection() -> None:
    called, left = asyncio.Event(), asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + _event(None).encode())
        await writer.drain()
        called.set()
        await reader.read()  # until the other side closes
        left.set()
        writer.close()

    async with speaking(speak) as client, asyncio.timeout(20):
        waiting = asyncio.create_task(client.wait("b_1"))
        await called.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await left.wait()
        left.clear()
        async for each in client.events("b_1"):
            assert each.id == "b_1"
            break
        await left.wait()


async def test_rows_of_an_asynchronous_iterable_are_sent_as_they_come() -> None:
    loop_thread, told, opened = threading.get_ident(), [], list[Started]()

    async def rows() -> AsyncIterator[dict[str, object]]:
        for number in range(2_500):
            if number % 700 == 0:
                await asyncio.sleep(0)
            assert threading.get_ident() == loop_thread
            yield {"number": number, "city": "Oslo"}

    def progress(count: int, size: int) -> None:
        assert threading.get_ident() == loop_thread
        told.append((count, size))

    async with serving(OPENED, (200, '{"bytes": 1, "sha256": "x"}')) as (server, client):
        started = await client.start_batch(4, rows(), id_column="number", progress=progress, opened=opened.append)
        await asyncio.sleep(0.05)
    assert started.batch == "b_1" and opened == [started]
    lines = server.asked[1][3].splitlines()
    assert lines[0] == b'{"id": 0, "properties": {"city": "Oslo"}}' and len(lines) == 2_500
    assert told[-1] == (2_500, len(server.asked[1][3]))


async def test_a_function_that_gives_rows_is_called_anew_for_an_upload_that_broke_off() -> None:
    calls = 0

    async def rows() -> AsyncIterator[dict[str, object]]:
        nonlocal calls
        calls += 1
        yield {"id": "a"}

    async with serving(OPENED, None, (200, "")) as (server, client):
        await client.start_batch(4, rows)
    assert calls == 2
    assert [each[3] for each in server.asked[1:]] == [b'{"id": "a", "properties": {}}\n'] * 2
    async with serving(OPENED, None) as (_, client):
        with pytest.raises(CallFailed, match="an iterator, which can't be read again"):
            await client.start_batch(4, rows())


async def test_a_row_that_can_not_be_sent_is_told_with_its_number() -> None:
    async def rows() -> AsyncIterator[dict[str, object]]:
        yield {"id": "a"}
        yield {"name": "b"}

    async with serving(OPENED, None) as (_, client):
        with pytest.raises(InvalidInput, match="Row 2"):
            await client.start_batch(4, rows())


async def test_files_and_plain_iterables_are_read_beside_the_loop(tmp_path: Path) -> None:
    loop_thread = threading.get_ident()
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(b'{"id": "1"}\n')

    def rows() -> list[dict[str, object]]:
        assert threading.get_ident() != loop_thread
        return [{"id": "a"}]

    async with serving(OPENED, (200, ""), OPENED, (200, ""), (200, '{"added": 3, "refused": []}')) as (server, client):
        await client.start_batch(4, str(file))
        await client.start_batch(4, rows)
        assert (await client.import_suppressions(file))["added"] == 3
    assert [each[3] for each in server.asked[1::2]] == [b'{"id": "1"}\n', b'{"id": "a", "properties": {}}\n']
    assert server.asked[4][3] == b'{"id": "1"}\n'
