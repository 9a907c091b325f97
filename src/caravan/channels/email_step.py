"""Email: one message to each contact."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property, lru_cache
from typing import ClassVar

from pydantic import Field

from caravan.channels.content import BodyWriter
from caravan.channels.email import EmailChannel
from caravan.channels.mail import Letterhead, Mail, compose
from caravan.channels.mail_sandbox import MailSandbox
from caravan.channels.watched import WatchedChannel
from caravan.delivery.channel import Channel
from caravan.delivery.channel_type import ChannelType
from caravan.delivery.envelope import Envelope
from caravan.delivery.message_step import MessageStep, ShownMessage
from caravan.journeys.fields import AddressTemplate, HtmlTemplate, LineTemplate, TemplateText
from caravan.journeys.placeholders import ContactView, Template, compile_template
from caravan.settings import RELAY_AWAY, ChannelSettings, Settings
from caravan.store.cohorts import Cohort
from caravan.store.sandbox import SandboxStore


class Email(MessageStep):
    """Every text is a template. At least one of `text` and `html` is there; `html` escapes what it fills in."""

    kind: ClassVar[str] = "email"

    sender: AddressTemplate = Field(alias="from")
    to: AddressTemplate
    subject: LineTemplate
    text: TemplateText | None = None
    html: HtmlTemplate | None = None
    reply_to: AddressTemplate | None = None

    def check(self) -> Iterator[tuple[str, str]]:
        if self.text is None and self.html is None:
            yield "email", "an email needs text or html, or both"

    def write(self, contact: ContactView, key: str, cohort: Cohort, at: datetime) -> Envelope[Mail]:
        mail = self._letter.write(contact, key, at)
        return Envelope(mail.recipient, key, mail)

    def show(self, envelope: Envelope[Mail]) -> ShownMessage:
        message = message_from_bytes(envelope.message.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        return ShownMessage(
            envelope.recipient, str(message["subject"] or ""), _body(message, "plain"), _body(message, "html")
        )

    @cached_property
    def _letter(self) -> "_Letter":
        return _Letter(
            sender=compile_template(self.sender),
            to=compile_template(self.to),
            subject=compile_template(self.subject),
            text=compile_template(self.text) if self.text is not None else None,
            html=compile_template(self.html, html=True) if self.html is not None else None,
            reply_to=compile_template(self.reply_to) if self.reply_to is not None else None,
        )


@dataclass(frozen=True, slots=True)
class _Letter:
    """The compiled templates of an email step."""

    sender: Template
    to: Template
    subject: Template
    text: Template | None
    html: Template | None
    reply_to: Template | None
    writer: BodyWriter = field(default_factory=BodyWriter)

    def write(self, contact: ContactView, key: str, date: datetime) -> Mail:
        """One contact's mail. Raises `RenderFailed`."""
        return compose(
            _letterhead(self.sender.render(contact), _filled(self.reply_to, contact)),
            self.writer,
            to=self.to.render(contact),
            subject=self.subject.render(contact),
            text=_filled(self.text, contact),
            html=_filled(self.html, contact),
            key=key,
            date=date,
        )


@lru_cache(maxsize=256)
def _letterhead(sender: str, reply_to: str | None) -> Letterhead:
    return Letterhead.of(sender, reply_to)


def _body(message: EmailMessage, kind: str) -> str | None:
    """A body as it was rendered: on the wire each line ends with CRLF, the last one too."""
    part = message.get_body((kind,))
    return None if part is None else str(part.get_content()).replace("\r\n", "\n").removesuffix("\n")


def _filled(template: Template | None, contact: ContactView) -> str | None:
    return None if template is None else template.render(contact)


def _driver(own: ChannelSettings, settings: Settings) -> Channel[Mail]:
    """The relay's channel, or the sandbox where no relay is set."""
    if settings.smtp_url is None:
        assert settings.database_url is not None
        return MailSandbox(SandboxStore(settings.database_url, "email", settings.sandbox_messages))
    relay = EmailChannel(settings.smtp_url, connections=settings.smtp_connections, timeout=settings.smtp_timeout)
    return WatchedChannel(relay, "The mail relay", settings.folder / RELAY_AWAY)


EMAIL = ChannelType(step=Email, settings=ChannelSettings, driver=_driver)
