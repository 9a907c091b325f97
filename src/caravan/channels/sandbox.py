"""A mail relay that delivers nothing: it keeps what it is given. For `caravan demo` and for tests.

aiosmtpd takes about 570 mails a second on the machine where this takes thousands, and can't be told to die
at a chosen moment, so this is our own; tests/unit/channels/test_email.py checks the channel against
aiosmtpd as well.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from caravan.channels.replies import Stage

_LONGEST: Final = 50 << 20  # octets of one mail
_PATH: Final = re.compile(r'<((?:"(?:[^"\\]|\\.)*"|[^">])*)>')
_END: Final = b"\r\n.\r\n"


@dataclass(slots=True)
class Received:
    """What has come of one mail so far, and in the end the whole of it."""

    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    content: bytes = b""  # as composed: without the dots that SMTP adds

    def stored(self) -> bytes:
        """The mail as a file that mail programs can open; its envelope stands on top (RFC 5321 §4.4)."""
        envelope = f"Return-Path: <{self.sender}>\r\nDelivered-To: {', '.join(self.recipients)}\r\n"
        return envelope.encode("utf-8", "surrogateescape") + self.content


class Act(Enum):
    """What a script lets the sandbox do instead of answering."""

    HANG_UP = auto()
    SAY_NOTHING = auto()


Script = Callable[[Stage, Received], str | Act | None]
"""Told each stage of each mail; answers with a reply ("450 4.2.0 later"), an act, or None for the good
reply."""


class Sandbox:
    """An SMTP server on 127.0.0.1, open inside `async with`.

    With a `folder`, each mail becomes a file there before it is acknowledged, numbered on from those that are
    there; without, `mails` holds them. `extensions` are what EHLO offers beside SIZE.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 0,
        script: Script | None = None,
        extensions: tuple[str, ...] = ("PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"),
    ) -> None:
        self.mails: list[Received] = []
        self.count = 0
        self.connections = 0
        self._folder = folder
        self._before = 0
        self._port = port
        self._script = script
        self.extensions = extensions
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if self._folder is not None:
            self._before = await asyncio.to_thread(_last_number, self._folder)
        self._server = await asyncio.start_server(self._welcome, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """For SMTP_URL."""
        return f"smtp://127.0.0.1:{self._port}"

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.close())  # also when the task was cancelled before it began

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, EOFError, asyncio.CancelledError):  # the client has gone, or the sandbox goes
            await _Session(self, _Wire(reader, writer)).run()

    def answer(self, stage: Stage, mail: Received) -> str | Act | None:
        """What the script wants."""
        return self._script(stage, mail) if self._script else None

    async def keep(self, mail: Received) -> str:
        """Store `mail`; how it is called."""
        self.count += 1
        name = f"{self._before + self.count:06d}"
        if self._folder is None:
            self.mails.append(mail)
        else:
            await asyncio.to_thread((self._folder / f"{name}.eml").write_bytes, mail.stored())
        return name

    def offers(self) -> str:
        """The reply to EHLO."""
        lines = [*(f"250-{each}" for each in self.extensions), f"250 SIZE {_LONGEST}"]
        return "\r\n".join(["250-caravan sandbox", *lines])


class _Wire:
    """Both directions of a connection, read up to marks, so that pipelined commands wait their turn."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = b""

    async def line(self) -> bytes:
        return await self._until(b"\r\n")

    async def content(self) -> bytes:
        """A mail up to its final dot, without the dots that were added (RFC 5321 §4.5.2)."""
        self._buffer = b"\r\n" + self._buffer  # so that the end is found even when it is the first line
        lines = await self._until(_END)
        return lines.replace(b"\r\n..", b"\r\n.")[2:] + b"\r\n"

    async def octets(self, count: int) -> bytes:
        """So many octets, whatever they are."""
        while len(self._buffer) < count:
            await self._more()
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found

    async def _until(self, mark: bytes) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            await self._more()
        found, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
        return found

    async def _more(self) -> None:
        data = await self._reader.read(1 << 16)
        if not data or len(self._buffer) > _LONGEST:
            raise EOFError
        self._buffer += data

    async def say(self, reply: str) -> None:
        self._writer.write(reply.encode("utf-8") + b"\r\n")
        await self._writer.drain()


class _Session:
    def __init__(self, sandbox: Sandbox, wire: _Wire) -> None:
        self._sandbox = sandbox
        self._wire = wire
        self._mail: Received | None = None

    async def run(self) -> None:
        """Serve one client until it quits or is hung up on."""
        await self._reply(Stage.CONNECT, "220 caravan sandbox")
        while True:
            line = await self._wire.line()
            verb, _, rest = line.decode("utf-8", "surrogateescape").partition(" ")
            match verb.upper():
                case "EHLO" | "HELO":
                    self._mail = None
                    await self._wire.say(self._sandbox.offers() if verb.upper() == "EHLO" else "250 sandbox")
                case "MAIL":
                    await self._from(rest)
                case "RCPT":
                    await self._to(rest)
                case "DATA":
                    await self._data()
                case "BDAT" if "CHUNKING" in self._sandbox.extensions:
                    await self._chunk(rest)
                case "RSET" | "NOOP" as command:
                    self._mail = None if command == "RSET" else self._mail
                    await self._wire.say("250 2.0.0 OK")
                case "QUIT":
                    return await self._wire.say("221 2.0.0 Bye")
                case _:
                    await self._wire.say("500 5.5.2 Not known here")

    async def _from(self, rest: str) -> None:
        if self._mail is not None:
            return await self._wire.say("503 5.5.1 A mail is already under way")
        self._mail = Received(sender=_path(rest))
        if not await self._reply(Stage.MAIL, "250 2.1.0 OK"):
            self._mail = None

    async def _to(self, rest: str) -> None:
        if self._mail is None:
            return await self._wire.say("503 5.5.1 MAIL comes first")
        self._mail.recipients.append(_path(rest))
        if not await self._reply(Stage.RCPT, "250 2.1.5 OK"):
            self._mail.recipients.pop()

    async def _data(self) -> None:
        if self._mail is None or not self._mail.recipients:
            return await self._wire.say("554 5.5.1 No valid recipients")
        if not await self._reply(Stage.DATA, "354 Go on; a lone dot ends it"):
            return
        mail, self._mail = self._mail, None
        mail.content = await self._wire.content()
        await self._take(mail)

    async def _chunk(self, rest: str) -> None:
        """BDAT (RFC 3030 §2): the octets follow the command, and are read also when they are not wanted."""
        size, _, last = rest.partition(" ")
        if not size.isdecimal() or int(size) > _LONGEST:
            raise EOFError
        octets = await self._wire.octets(int(size))
        if self._mail is None or not self._mail.recipients:
            return await self._wire.say("554 5.5.1 No valid recipients")
        self._mail.content += octets
        if last.upper() != "LAST":
            return await self._wire.say("250 2.0.0 Go on")
        mail, self._mail = self._mail, None
        await self._take(mail)

    async def _take(self, mail: Received) -> None:
        scripted = self._sandbox.answer(Stage.CONTENT, mail)
        if scripted is None:
            scripted = f"250 2.0.0 queued as {await self._sandbox.keep(mail)}"
        await self._act(scripted)

    async def _reply(self, stage: Stage, good: str) -> bool:
        """Answer as the script wants, else well; whether it was the good reply."""
        scripted = self._sandbox.answer(stage, self._mail or Received())
        await self._act(scripted or good)
        return scripted is None

    async def _act(self, answer: str | Act) -> None:
        match answer:
            case Act.HANG_UP:
                raise EOFError
            case Act.SAY_NOTHING:
                await asyncio.Event().wait()
            case str():
                await self._wire.say(answer)
                if answer.startswith("421"):
                    raise EOFError


def _last_number(folder: Path) -> int:
    """The number of the latest mail in `folder`, which is made when it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return max((int(each.stem) for each in folder.glob("*.eml") if each.stem.isdecimal()), default=0)


def _path(rest: str) -> str:
    """The address in `FROM:<a@b> SIZE=1`; in quotes it may hold anything."""
    found = _PATH.search(rest)
    return found[1] if found else ""
