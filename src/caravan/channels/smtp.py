"""One SMTP connection, from the end of its handshake: mails go over it one after the other (RFC 5321).

aiosmtplib shakes hands, encrypts and logs in (relay.py). Its own protocol drops a reply that comes before
it is awaited, so it can't pipeline; this one can (RFC 2920), which halves the round trips of a mail.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Final

from caravan.channels.mail import Mail
from caravan.channels.replies import Reply, Stage, classify
from caravan.delivery.result import Delivery, Result

_LONGEST_REPLY: Final = 65_536  # octets without a line end, or lines of one reply
_REPLY_LINE: Final = re.compile(rb"(\d{3})(?:([ -])(.*))?", re.DOTALL)


class ConnectionLost(Exception):
    """The relay can't be heard any more; the text says why, in a few words."""


class Conversation(asyncio.Protocol):
    """A connection that is ready for mails. Not for two at the same time."""

    def __init__(self, transport: asyncio.Transport, extensions: frozenset[str], timeout: float) -> None:
        """Take over `transport`. `extensions` are the EHLO keywords in lower case; `timeout` is seconds a
        reply."""
        self._transport = transport
        self._timeout = timeout
        self._pipelining = "pipelining" in extensions
        self._size = "size" in extensions
        self._smtputf8 = "smtputf8" in extensions
        self._buffer = b""
        self._text: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._lost: str | None = None
        self._open_transaction = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.mails = 0
        transport.set_protocol(self)

    @property
    def alive(self) -> bool:
        """Whether another mail may be tried on it. A word from the relay while nobody asked means goodbye."""
        return self._lost is None and not self._replies and not self._transport.is_closing()

    # What the transport tells

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._line(line.rstrip(b"\r"))
        if len(self._buffer) > _LONGEST_REPLY or len(self._text) > _LONGEST_REPLY:
            self.abort("its reply has no end")
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = self._lost or "the relay closed the connection"
        if not self.closed.done():
            self.closed.set_result(None)
        self._wake()

    def _line(self, line: bytes) -> None:
        parts = _REPLY_LINE.fullmatch(line)
        if parts is None:
            self._replies.append(Reply(0, line.decode("utf-8", "replace")))
            return
        self._text.append(parts[3] or b"")
        if parts[2] != b"-":
            self._replies.append(Reply(int(parts[1]), _joined(self._text)))
            self._text = []

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _reply(self) -> Reply:
        """The next reply. Raises `ConnectionLost` when there will be none; silence counts as that."""
        while not self._replies:
            if self._lost is not None:
                raise ConnectionLost(self._lost)
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            # asyncio.timeout would be a tenth of what a mail costs.
            patience = loop.call_later(self._timeout, self.abort, f"no reply came for {self._timeout:g} seconds")
            try:
                await self._waiter
            finally:
                patience.cancel()
        return self._replies.popleft()

    # A mail

    async def send(self, mail: Mail, on_data: Callable[[], None] | None) -> Delivery:
        """Offer one mail. Raises `ConnectionLost` when the connection ends before the content goes out."""
        if not (mail.sender.isascii() and mail.recipient.isascii()) and not self._smtputf8:
            return Delivery(Result.UNSUPPORTED, "The relay doesn't take addresses beyond ASCII (SMTPUTF8).")
        self.mails += 1
        offer = self._offer_at_once if self._pipelining else self._offer_in_turn
        refusal = await offer(mail)
        if refusal is not None:
            stage, reply = refusal
            if reply.code == 421 and self.mails > 1:
                # Said to us, after enough mails or time, not of this mail.
                raise ConnectionLost(f"the relay said {reply}")
            return classify(stage, reply)
        if on_data is not None:
            on_data()
        return await self._hand_over(mail.content)

    async def _hand_over(self, content: bytes) -> Delivery:
        self._transport.write(_stuffed(content))
        try:
            reply = await self._reply()
        except ConnectionLost as error:
            return Delivery(Result.UNKNOWN, f"The whole mail was sent, then {error}.")
        self._open_transaction = False
        return classify(Stage.CONTENT, self._heard(reply))

    async def _offer_at_once(self, mail: Mail) -> tuple[Stage, Reply] | None:
        """MAIL, RCPT and DATA in one go. The first refusal, or None when the content may follow."""
        reset, self._open_transaction = self._open_transaction, True
        commands = (self._mail_command(mail), self._rcpt_command(mail), b"DATA\r\n")
        self._transport.write(b"RSET\r\n" * reset + b"".join(commands))
        if reset:
            await self._reply()
        refusal = None
        for stage in (Stage.MAIL, Stage.RCPT, Stage.DATA):
            try:
                reply = self._heard(await self._reply())
            except ConnectionLost:
                if refusal is None:
                    raise
                return refusal
            if refusal is None and not _accepts(stage, reply):
                refusal = (stage, reply)
        if refusal is not None and reply.code == 354:
            # It waits for content all the same (RFC 2920 §3.1): an empty one for nobody ends that.
            self._transport.write(b".\r\n")
            await self._reply()
        return refusal

    async def _offer_in_turn(self, mail: Mail) -> tuple[Stage, Reply] | None:
        if self._open_transaction:
            await self._ask(b"RSET\r\n")
        self._open_transaction = True
        for stage, command in (
            (Stage.MAIL, self._mail_command(mail)),
            (Stage.RCPT, self._rcpt_command(mail)),
            (Stage.DATA, b"DATA\r\n"),
        ):
            reply = await self._ask(command)
            if not _accepts(stage, reply):
                return stage, reply
        return None

    async def _ask(self, command: bytes) -> Reply:
        self._transport.write(command)
        return self._heard(await self._reply())

    def _heard(self, reply: Reply) -> Reply:
        if reply.code in (0, 421):
            # Goodbye (RFC 5321 §3.8), or nothing that SMTP knows: what comes next can't be trusted.
            self.abort("the relay closed the connection")
        return reply

    def _mail_command(self, mail: Mail) -> bytes:
        utf8 = " SMTPUTF8 BODY=8BITMIME" if not (mail.sender + mail.recipient).isascii() else ""
        size = f" SIZE={len(mail.content)}" if self._size else ""
        return f"MAIL FROM:<{mail.sender}>{size}{utf8}\r\n".encode()

    def _rcpt_command(self, mail: Mail) -> bytes:
        return f"RCPT TO:<{mail.recipient}>\r\n".encode()

    # The end

    def quit(self) -> None:
        """Say goodbye and close; a relay that doesn't answer is left after a second."""
        if self._lost is None:
            self._lost = "it was closed"
            self._transport.write(b"QUIT\r\n")
            self._transport.close()
            asyncio.get_running_loop().call_later(1, self._transport.abort)

    def abort(self, why: str) -> None:
        """Close at once."""
        self._lost = self._lost or why
        self._transport.abort()
        self._wake()


def _accepts(stage: Stage, reply: Reply) -> bool:
    match stage:
        case Stage.RCPT:
            return reply.code in (250, 251)
        case Stage.DATA:
            return reply.code == 354
    return reply.code == 250


def _joined(lines: list[bytes]) -> str:
    """The text of a reply; of several lines, the enhanced code is said once."""
    texts = [line.decode("utf-8", "replace").strip() for line in lines]
    first, *more = texts
    code = first.partition(" ")[0]
    return " ".join([first, *(text.removeprefix(code).strip() if "." in code else text for text in more)])


def _stuffed(content: bytes) -> bytes:
    """`content` as DATA takes it: no line is a lone dot but the last (RFC 5321 §4.5.2)."""
    content = content.replace(b"\r\n.", b"\r\n..")
    dot = b"." if content.startswith(b".") else b""
    end = b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"
    return dot + content + end
