"""Where bounces go: the envelope sender of a mail bears its delivery key (VERP), and headers carry the key to providers
who report bounces by webhook and do not tell the Message-ID in it.

A channel around another one, behind the one that signs: a DKIM signature is of the domain in From, whatever the
envelope says, and does not cover what providers take out again.
"""

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from caravan.channels.mail import Mail
from caravan.delivery.channel import Channel
from caravan.delivery.key import batch_of
from caravan.delivery.result import SendResult
from caravan.settings import Settings

LOCAL: Final = "bounce-"  # and the key, of at most 48 characters: RFC 5321 §4.5.3.1.1 has 64
_HEADERS: Final = {  # by the setting of the provider; Amazon SES and Mailgun tell the Message-ID
    "postmark_password": "X-PM-Metadata-delivery: {key}\r\n",
    "sendgrid_key": 'X-SMTPAPI: {{"unique_args": {{"delivery": "{key}"}}}}\r\n',
}


def provider_headers(settings: Settings) -> tuple[str, ...]:
    """The header lines for the providers whose webhooks are set up; `{key}` stands for the key."""
    return tuple(header for name, header in _HEADERS.items() if getattr(settings, name))


def return_address(key: str, domain: str) -> str:
    """The address that bounces of a delivery come to."""
    return f"{LOCAL}{key}@{domain}"


class ReturnPathChannel:
    """Gives each mail its return address at `domain`, if there is one, and those of the `headers` that its author has
    not set; then `channel` sends it. A test, which is no delivery, stays as it is: its bounce goes to who sent it."""

    def __init__(self, channel: Channel[Mail], domain: str | None, headers: tuple[str, ...] = ()) -> None:
        self._channel, self._domain = channel, domain
        self._headers = [(b"\n" + each.partition(":")[0].lower().encode() + b":", each) for each in headers]

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.__aexit__(kind, error, trace)

    async def send(self, mail: Mail, on_data: Callable[[], None] | None = None) -> SendResult:
        """See `Channel.send`."""
        return await self._channel.send(self._prepared(mail), on_data)

    def _prepared(self, mail: Mail) -> Mail:
        key = mail.message_id[1:].partition("@")[0]
        if batch_of(key) is None:
            return mail
        sender = mail.sender if self._domain is None else return_address(key, self._domain)
        return replace(mail, sender=sender, content=self._added(mail.content, key) + mail.content)

    def _added(self, content: bytes, key: str) -> bytes:
        if not self._headers:
            return b""
        head = b"\n" + content[: content.find(b"\r\n\r\n")].lower()
        return "".join([line.format(key=key) for name, line in self._headers if name not in head]).encode("ascii")
