"""Where mail is handed over: what SMTP_URL says, and the handshake with what stands there."""

import asyncio
import socket
import ssl
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from caravan.channels.replies import Reply, Rules, Stage, one_line, shipped
from caravan.channels.smtp import Conversation
from caravan.channels.smtp_commands import Extensions
from caravan.channels.told import Tell, ToldConversation, ToldSmtp, encryption
from caravan.delivery.result import Result, SendResult
from caravan.errors import InvalidSetting


class Tls(StrEnum):
    """How a connection to the relay is encrypted."""

    NONE = "none"  # never
    STARTTLS = "starttls"  # when the relay offers it
    REQUIRED = "required"  # by STARTTLS, or nothing is sent
    FROM_START = "smtps"  # smtps://


class Refused(Exception):
    """The relay can't be used now. `delivery` says so to the contact whose turn it was."""

    def __init__(self, delivery: SendResult) -> None:
        self.delivery = delivery
        super().__init__(delivery.detail)


@dataclass(frozen=True, slots=True)
class Relay:
    """The mail relay of SMTP_URL."""

    host: str
    port: int
    tls: Tls
    user: str | None
    password: str

    @classmethod
    def of(cls, url: str, name: str = "CARAVAN_SMTP_URL") -> Self:
        """Read smtp://[user:password@]host[:port][?tls=none|starttls|required] or smtps://….

        The port is 25, or 465 for smtps. Raises `InvalidSetting` with its `name`, and
        without the password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or (465 if parts.scheme == "smtps" else 25)
            options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
            asked = Tls(options.pop("tls", Tls.STARTTLS))
        except ValueError:
            message = f"{name} can't be read; ?tls= takes none, starttls or required."
            raise InvalidSetting(message) from None
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or options or parts.path.strip("/"):
            raise InvalidSetting(f"{name} must be like smtp://user:password@host:587?tls=required.")
        tls = Tls.FROM_START if parts.scheme == "smtps" else asked
        user = unquote(parts.username) if parts.username else None
        return cls(parts.hostname, port, tls, user, unquote(parts.password or ""))

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, so that no network lies in between."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def verifies(self) -> bool:
        """Whether the relay's certificate must be valid.

        Encryption that is only used when offered does not protect from a man in the middle (RFC 7435), so there
        a certificate proves nothing; a password, however, goes only to a server that proves its name.
        """
        return self.tls in (Tls.REQUIRED, Tls.FROM_START) or (self.user is not None and not self.is_local)

    async def connect(
        self,
        timeout: float,  # noqa: ASYNC109 - of each step
        tell: Tell | None = None,
        rules: Rules | None = None,
    ) -> Conversation:
        """A connection that is greeted, encrypted and logged in; `timeout` is seconds for each of these. `tell` hears
        each line of it; `rules` say what replies mean.

        Raises `Refused` for whatever goes wrong.
        """
        client = self._client(timeout, tell)
        try:
            await self._shake_hands(client)
            transport = cast(asyncio.Transport, client.transport)
            extensions = Extensions.of(frozenset(client.esmtp_extensions))
            secure = self.is_local or transport.get_extra_info("ssl_object") is not None
            if tell is None:
                return Conversation(transport, extensions, timeout, rules, secure=secure)
            tell("*", encryption(transport, verified=self.verifies))
            return ToldConversation(transport, extensions, timeout, tell)
        except BaseException as error:
            client.close()
            if isinstance(error, SMTPException | OSError):
                raise Refused(self._trouble(error, rules or shipped())) from error
            raise

    def _client(self, timeout: float, tell: Tell | None) -> SMTP:
        options: dict[str, Any] = {
            "hostname": self.host,
            "port": self.port,
            "use_tls": self.tls is Tls.FROM_START,
            "start_tls": False,
            "validate_certs": self.verifies,
            "local_hostname": "localhost",  # connect() would ask the DNS for a name; EHLO gives the real one
            "timeout": timeout,
        }
        return SMTP(**options) if tell is None else ToldSmtp(tell, **options)

    async def _shake_hands(self, client: SMTP) -> None:
        await client.connect()
        name = _own_name(client)
        await _greet(client, name)
        if self.tls is Tls.REQUIRED or (self.tls is Tls.STARTTLS and client.supports_extension("starttls")):
            await client.starttls()
            await _greet(client, name)
        if self.user is not None:
            in_clear = client.get_transport_info("sslcontext") is None
            if in_clear and self.tls is not Tls.NONE and not self.is_local:
                raise SMTPException("it offers no encryption, so the password was not sent (see ?tls=none)")
            await client.login(self.user, self.password)

    def _trouble(self, error: SMTPException | OSError, rules: Rules) -> SendResult:
        place = f"{self.host}:{self.port}"
        match error.__cause__ or error:
            case SMTPResponseException() as refusal:
                answer = rules.classify(Stage.CONNECT, Reply(max(refusal.code, 0), one_line(refusal.message)))
                return replace(answer, detail=f"{place} answered {answer.detail}")
            case ConnectionRefusedError():
                why = f"Connection refused by {place}."
            case TimeoutError():
                why = f"No answer from {place}."
            case ssl.SSLCertVerificationError() as invalid:
                why = f"The certificate of {place} is not valid: {invalid.verify_message}."
            case other:
                why = f"No connection to {place}: {one_line(str(other))}"
        return SendResult(Result.UNREACHABLE, why)


async def _greet(client: SMTP, name: str) -> None:
    try:
        await client.ehlo(hostname=name)
    except SMTPResponseException:
        if not client.is_connected:
            raise
        await client.helo(hostname=name)


def _own_name(client: SMTP) -> str:
    """What this machine calls itself: its full name, else its address as a literal (RFC 5321 §4.1.3)."""
    name = socket.gethostname()
    if "." in name and name.isascii():
        return name
    address = str(client.get_transport_info("sockname")[0])
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
