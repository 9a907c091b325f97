"""The next mail's envelope goes out with a mail's content, and wherever a connection breaks, what is known is true."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from itertools import product
from typing import Any

import pytest
import uvloop

from caravan.channels.email import EmailChannel
from caravan.channels.mail import Mail
from caravan.channels.replies import Stage
from caravan.channels.sandbox import Act, Received, Sandbox
from caravan.delivery.result import Result

OFFERS = [("PIPELINING",), (), ("PIPELINING", "CHUNKING"), ("CHUNKING",)]


def mail(number: int) -> Mail:
    content = b"Subject: %d\r\n\r\n.a line with a dot\r\n" % number
    return Mail("shop@example.com", f"c{number}@example.com", f"<{number}@example.com>", content)


class Line:
    """A wire to a port that breaks, once, after so many octets in one direction."""

    def __init__(self, port: int, after: int, *, upwards: bool) -> None:
        self.port, self.left, self.upwards = port, after, upwards
        self.broken = False
        self.heard: list[bytes] = []  # what came from the client, read by read
        self.calls: set[asyncio.Task[None]] = set()

    def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls.add(asyncio.create_task(self._carry(reader, writer)))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.port)
        both = (self._pump(reader, there_writer, upwards=True), self._pump(there_reader, writer, upwards=False))
        tasks = [asyncio.create_task(each) for each in both]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for each in (writer, there_writer):
                each.close()
                with suppress(ConnectionError):
                    await each.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upwards: bool) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if upwards:
                    self.heard.append(data)
                if upwards is self.upwards and not self.broken:
                    data, self.left = data[: self.left], self.left - len(data)
                    if self.left <= 0:
                        self.broken = True
                        writer.write(data)
                        await writer.drain()
                        await asyncio.sleep(0.01)  # the other side acts on what came
                        return
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def wired(sandbox: Sandbox, line: Line) -> AsyncIterator[str]:
    server = await asyncio.start_server(line.welcome, "127.0.0.1", 0)
    try:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for call in line.calls:
            call.cancel()
        await asyncio.gather(*line.calls, return_exceptions=True)


def some_are_refused(stage: Stage, received: Received) -> str | Act | None:
    """c1 is unknown here, c3's content is not liked."""
    local = received.recipients[-1][:2] if received.recipients else ""
    if (stage, local) == (Stage.RCPT, "c1"):
        return "550 5.1.1 no such user"
    return "554 5.7.1 spam" if (stage, local) == (Stage.CONTENT, "c3") else None


async def results_after_a_break(extensions: tuple[str, ...], after: int, *, upwards: bool) -> tuple[bool, int]:
    """Six mails over one connection that breaks. Whether it came to that, and how many are in doubt."""
    async with Sandbox(script=some_are_refused, extensions=extensions) as sandbox:
        line = Line(int(sandbox.url.rpartition(":")[2]), after, upwards=upwards)
        going_out: set[int] = set()
        async with wired(sandbox, line) as url, EmailChannel(url, connections=1, timeout=2) as channel:
            sends = (channel.send(mail(n), lambda n=n: going_out.add(n)) for n in range(6))  # type: ignore[misc]
            results = [delivery.result for delivery in await asyncio.gather(*sends)]
        for number, result in enumerate(results):
            arrived = [each for each in sandbox.mails if each.recipients == [f"c{number}@example.com"]]
            assert len(arrived) <= 1
            assert all(each.content == mail(number).content for each in arrived)
            match result:
                case Result.SENT:
                    assert arrived
                case Result.UNKNOWN:
                    assert number in going_out
                case _:
                    assert not arrived, result
            if number in (1, 3):
                assert result is not Result.SENT
        assert line.broken or results.count(Result.SENT) == 4
        return line.broken, results.count(Result.UNKNOWN)


@pytest.mark.parametrize(("extensions", "upwards"), list(product(OFFERS, [True, False])))
async def test_wherever_a_connection_breaks_no_mail_is_told_wrong_or_arrives_twice(
    extensions: tuple[str, ...], upwards: bool
) -> None:
    doubts = set()
    for start in range(1, 1_100, 44):  # as many at once as breaks lie close together
        breaks = (results_after_a_break(extensions, start + n, upwards=upwards) for n in range(0, 44, 4))
        found = await asyncio.gather(*breaks)
        doubts |= {unknown for _, unknown in found}
        if not any(broken for broken, _ in found):
            break
    assert doubts <= {0, 1}  # one content at most is out on a connection
    assert 1 in doubts


@pytest.mark.parametrize("extensions", [each for each in OFFERS if "PIPELINING" in each])
async def test_a_mail_costs_one_write(extensions: tuple[str, ...]) -> None:
    async with Sandbox(extensions=extensions) as sandbox:
        line = Line(int(sandbox.url.rpartition(":")[2]), 1 << 30, upwards=True)
        async with wired(sandbox, line) as url, EmailChannel(url, connections=1) as channel:
            await asyncio.gather(*(channel.send(mail(n)) for n in range(8)))
    contents = [data for data in line.heard if b"Subject: " in data]
    assert len(contents) == 8
    assert all(b"MAIL FROM" in data and b"RCPT TO" in data for data in contents[:-1])
    assert all(data.count(b"Subject: ") == 1 for data in contents)
    assert len(line.heard) == 8 + 3  # EHLO, the first envelope, QUIT


async def most_in_doubt(extensions: tuple[str, ...], connections: int, mails: int) -> int:
    """Of how many mails a sender does not know, at the worst moment of all, whether they arrived."""
    doubted: set[int] = set()
    counts: list[int] = []

    async def send(channel: EmailChannel, number: int) -> None:
        def under_way() -> None:
            doubted.add(number)
            counts.append(len(doubted))

        assert (await channel.send(mail(number), under_way)).result is Result.SENT
        doubted.remove(number)

    async with Sandbox(extensions=extensions) as sandbox, EmailChannel(sandbox.url, connections=connections) as channel:
        await asyncio.gather(*(send(channel, n) for n in range(mails)))
    assert len(counts) == mails
    return max(counts)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("connections", [1, 5])
@pytest.mark.parametrize("extensions", OFFERS)
def test_never_are_more_mails_in_doubt_than_there_are_connections(
    extensions: tuple[str, ...], connections: int, run: Callable[[Coroutine[Any, Any, int]], int]
) -> None:
    assert run(most_in_doubt(extensions, connections, 60)) == connections


@pytest.mark.parametrize("extensions", OFFERS)
async def test_a_content_that_is_held_back_never_goes_out_and_spoils_no_other(extensions: tuple[str, ...]) -> None:
    class HeldBack(Exception): ...

    def hold() -> None:
        raise HeldBack

    async with Sandbox(extensions=extensions) as sandbox, EmailChannel(sandbox.url, connections=1) as channel:
        sends = [channel.send(mail(n), hold if n in (0, 3) else None) for n in range(6)]
        results = await asyncio.gather(*sends, return_exceptions=True)
    assert [isinstance(each, HeldBack) for each in results] == [True, False, False, True, False, False]
    assert sorted(each.recipients[0][1] for each in sandbox.mails) == ["1", "2", "4", "5"]


@pytest.mark.parametrize("extensions", OFFERS)
async def test_a_send_that_is_cancelled_before_its_content_never_goes_out(extensions: tuple[str, ...]) -> None:
    def script(stage: Stage, received: Received) -> Act | None:
        return Act.SAY_NOTHING if stage is Stage.CONTENT and received.recipients == ["c0@example.com"] else None

    async with (
        Sandbox(script=script, extensions=extensions) as sandbox,
        EmailChannel(sandbox.url, connections=1, timeout=0.3) as channel,
    ):
        sends = [asyncio.create_task(channel.send(mail(n))) for n in range(4)]
        await asyncio.sleep(0.1)
        sends[1].cancel()
        results = await asyncio.gather(*sends, return_exceptions=True)
    assert [getattr(each, "result", None) for each in results] == [Result.UNKNOWN, None, Result.SENT, Result.SENT]
    assert sorted(each.recipients[0] for each in sandbox.mails) == ["c2@example.com", "c3@example.com"]
