"""A conversation with the relay that is told line by line as it goes, with what authenticates masked: for people who
look for what is wrong with it."""

import asyncio
import re
import ssl
from collections.abc import Callable
from typing import Any, Final

from aiosmtplib import SMTP, SMTPResponse, SMTPResponseException

from caravan.channels.smtp import Conversation
from caravan.channels.smtp_commands import Extensions
from caravan.masking import MASK

#: Hears each line: "C" what this side says, "S" what the relay says, "*" what is so between the lines.
Tell = Callable[[str, str], None]
_PLAIN: Final = (b"EHLO", b"HELO", b"STARTTLS", b"QUIT", b"RSET", b"NOOP")  # commands that hold no secret
_UNSHOWN: Final = re.compile(r"[^\t -~\xa0-\U0010ffff]|[\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class ToldSmtp(SMTP):
    """The handshake."""

    def __init__(self, tell: Tell, **options: Any) -> None:
        super().__init__(**options)
        self._tell = tell

    async def connect(self, **options: Any) -> SMTPResponse:
        """See `SMTP.connect`."""
        try:
            return self._hear(await super().connect(**options))
        except SMTPResponseException as refusal:
            self._hear(SMTPResponse(refusal.code, refusal.message))
            raise

    async def execute_command(self, *words: bytes, timeout: Any = None) -> SMTPResponse:  # noqa: ASYNC109 - theirs
        """See `SMTP.execute_command`."""
        self._tell("C", _shown(_masked(words)))
        return self._hear(await super().execute_command(*words, timeout=timeout))

    async def starttls(self, **options: Any) -> SMTPResponse:
        """See `SMTP.starttls`."""
        self._tell("C", "STARTTLS")
        try:
            return self._hear(await super().starttls(**options))
        except SMTPResponseException as refusal:
            self._hear(SMTPResponse(refusal.code, refusal.message))
            raise

    def _hear(self, response: SMTPResponse) -> SMTPResponse:
        *before, last = str(response.message).split("\n")
        for line in before:
            self._tell("S", _shown(f"{response.code}-{line}"))
        self._tell("S", _shown(f"{response.code} {last}"))
        return response


class ToldConversation(Conversation):
    """What comes after the handshake."""

    def __init__(
        self,
        transport: asyncio.Transport,
        extensions: Extensions,
        timeout: float,
        tell: Tell,
    ) -> None:
        super().__init__(transport, extensions, timeout)
        self._tell, self._rest = tell, b""

    def data_received(self, data: bytes) -> None:
        """Tell the lines that are whole, then take them."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._tell("S", _shown(line.rstrip(b"\r")))
        super().data_received(data)

    def quit(self) -> None:
        """Say goodbye."""
        if self.alive:
            self._tell("C", "QUIT")
        super().quit()

    def _write(self, octets: bytes) -> None:
        for line in octets.removesuffix(b"\r\n").split(b"\r\n"):
            self._tell("C", _shown(line))
        super()._write(octets)


def encryption(transport: asyncio.BaseTransport, *, verified: bool) -> str:
    """In words how a connection is encrypted."""
    secure: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if secure is None:
        return "The connection is not encrypted."
    cipher = secure.cipher()
    name = f"{secure.version()}, {cipher[0]}" if cipher else secure.version()
    proven = "the certificate is valid" if verified else "the certificate was not checked"
    return f"The connection is encrypted ({name}); {proven}."


def _masked(words: tuple[bytes, ...]) -> bytes:
    """A command without what authenticates: of AUTH the mechanism stays (RFC 4954 §4)."""
    verb = words[0].split(b" ")[0].upper() if words else b""
    if verb in _PLAIN:
        return b" ".join(words)
    mask = MASK.encode()
    if verb != b"AUTH":
        return mask
    said = b" ".join(words).split(b" ", 2)
    return b" ".join([*said[:2], *([mask] if len(said) > 2 else [])])


def _shown(line: bytes | str) -> str:
    """A line as a terminal may have it: nothing in it moves a cursor or turns the writing."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    return _UNSHOWN.sub("�", text)
