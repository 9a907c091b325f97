"""The receiver of bounces: SMTP (RFC 5321) or LMTP (RFC 2033), for mail to the addresses at which deliveries come back.

It takes mail for nobody else, sends none, and says that it has taken a mail once what that says is stored. What cannot
be stored now is answered with 451: who sends it keeps it, and comes again.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from caravan.engine.engine import Engine
from caravan.errors import InvalidSetting
from caravan.queries.recipient import Recipients
from caravan.returns.certificate import Certificate
from caravan.returns.collector import Collector
from caravan.returns.keys import key_of_address
from caravan.returns.listening import Listening
from caravan.returns.mail import read_mail
from caravan.returns.returned import Kind
from caravan.returns.take import Arrival, take_in

COMPLAINTS: Final = "complaints"  # the mailbox at the bounce domain for reports of complaints, whose key is in them
_MOST_RECIPIENTS: Final = 20  # of one mail; a bounce has one
_SECONDS: Final = 120.0  # of silence
_MOST_CALLS: Final = 10_000  # of one command over one connection
_LONGEST_LINE: Final = 64 << 10  # octets; RFC 5321 has 1,000, and not all who write bounces know it
_log = logging.getLogger(__name__)
logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd tells each command


class Receiver:
    """What is done with each mail: aiosmtpd's handler."""

    def __init__(self, engine: Engine, domain: str) -> None:
        self._recipients = Recipients(engine)
        self._domain = domain.lower()
        self._collector = Collector[Arrival](lambda some: take_in(engine, self._recipients, some))

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take mail for those alone whose key we have signed."""
        local, _, domain = address.rpartition("@")
        if domain.lower().rstrip(".") != self._domain:
            return "550 5.7.1 Mail to this domain is not taken here"
        if len(envelope.rcpt_tos) >= _MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        if local.lower() != COMPLAINTS:
            key = key_of_address(address)
            if key is None or await self._recipients.read(key) is None:
                return "550 5.1.1 There is no such delivery"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Store what the mail says."""
        raw = envelope.content if isinstance(envelope.content, bytes) else b""
        returned = await asyncio.to_thread(read_mail, raw, envelope.mail_from or "")
        if returned is not None:
            for address in envelope.rcpt_tos:
                key = key_of_address(address)
                if key is not None or returned.kind is Kind.COMPLAINED:
                    await self._collector.put(Arrival(returned, key, raw))
        taken = "250 2.6.0 Taken"
        # LMTP has a reply for each recipient (RFC 2033 §4.2).
        return "\r\n".join([taken] * len(envelope.rcpt_tos)) if isinstance(server, LMTP) else taken

    async def handle_exception(self, error: Exception) -> str:
        """What is wrong on this side passes; whoever sends comes again."""
        _log.warning("What came back could not be stored just now: %s", " ".join(str(error).split()))
        return "451 4.3.0 This can't be stored just now"


class _Limits:
    """For a server of aiosmtpd: no more connections than may be, and none that sends without an end. aiosmtpd keeps a
    line until it ends, however much has come."""

    line_length_limit = _LONGEST_LINE
    known: set[Any]  # the connections that there are
    most: int
    _unanswered = 0  # octets since the last reply

    def connection_made(self, transport: asyncio.Transport) -> None:
        """See asyncio. With STARTTLS it is called once more, for the same connection."""
        if self not in self.known and len(self.known) >= self.most:
            transport.write(b"421 4.3.2 Too many connections\r\n")
            transport.close()
            return
        self.known.add(self)
        super().connection_made(transport)  # type: ignore[misc]

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        if self in self.known:
            self.known.discard(self)
            super().connection_lost(error)  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._unanswered += len(data)
        if self._unanswered > 2 * self.data_size_limit + _LONGEST_LINE:  # type: ignore[attr-defined]
            self.transport.abort()  # type: ignore[attr-defined]
        elif self in self.known:
            super().data_received(data)  # type: ignore[misc]

    def eof_received(self) -> bool | None:
        """See asyncio."""
        return super().eof_received() if self in self.known else None  # type: ignore[misc]

    async def push(self, status: str) -> None:
        """See aiosmtpd."""
        self._unanswered = 0
        await super().push(status)  # type: ignore[misc]


class _Smtp(_Limits, SMTP):  # type: ignore[misc]
    """SMTP within limits."""


class _Lmtp(_Limits, LMTP):  # type: ignore[misc]
    """LMTP within limits."""


@asynccontextmanager
async def receiving(engine: Engine) -> AsyncIterator[tuple[str, int]]:
    """The receiver, as long as the block lasts: the host and port where it listens. Raises `InvalidSetting`."""
    settings = engine.settings
    if settings.bounce_domain is None or settings.bounce_url is None:
        raise InvalidSetting("Set CARAVAN_BOUNCE_DOMAIN and CARAVAN_BOUNCE_URL, and bounces are taken.")
    where = Listening.of(settings.bounce_url)
    receiver = Receiver(engine, settings.bounce_domain)
    kind, known = _Lmtp if where.is_lmtp else _Smtp, set[Any]()
    certificate = None
    if settings.bounce_tls_cert is not None:
        certificate = Certificate(settings.bounce_tls_cert, settings.bounce_tls_key)
    name = socket.getfqdn()
    loop = asyncio.get_running_loop()

    def connected() -> asyncio.Protocol:
        protocol = kind(
            receiver,
            data_size_limit=settings.bounce_bytes,
            enable_SMTPUTF8=True,
            hostname=name,
            ident="Caravan",
            timeout=_SECONDS,
            command_call_limit=_MOST_CALLS,
            tls_context=None if certificate is None else certificate.context(),
            loop=loop,
        )
        protocol.known, protocol.most = known, settings.bounce_connections
        made: asyncio.Protocol = protocol
        return made

    server = await loop.create_server(connected, where.host, where.port)
    try:
        port = server.sockets[0].getsockname()[1]
        yield where.host, port
    finally:
        server.close()
        for each in list(known):
            if each.transport is not None:
                each.transport.close()
        await asyncio.sleep(0)
