"""Email: one message to each contact."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property, lru_cache
from typing import ClassVar

from pydantic import Field

from caravan.channels.attachments import Attachment, parts, with_parts
from caravan.channels.choice import RELAY_NAME
from caravan.channels.content import BodyWriter
from caravan.channels.email_driver import driver
from caravan.channels.email_texts import Source, Texts, Track, prepared
from caravan.channels.email_way import way_of
from caravan.channels.headers import mail_header_problem
from caravan.channels.links import Ways, ways_of
from caravan.channels.list_headers import feedback_id, list_headers
from caravan.channels.mail import Letterhead, Mail, compose, own_header
from caravan.channels.mailbox import Mailbox, own_mailbox
from caravan.channels.mjml_page import page_of
from caravan.delivery.channel_type import ChannelType
from caravan.delivery.envelope import Envelope
from caravan.delivery.key import KeyWriter
from caravan.delivery.message_step import MessageStep, ShownMessage, Writer
from caravan.delivery.tools import DeliveryTools
from caravan.delivery.way import Way
from caravan.journeys.fields import AddressTemplate, HtmlTemplate, LineTemplate, TemplateText
from caravan.journeys.placeholders import ContactView, Template, compile_template
from caravan.settings import ChannelSettings
from caravan.store.cohorts import Cohort
from caravan.store.files import Files

TEST = "[Test] "  # what the subject of a test begins with


class Email(MessageStep):
    """Every text is a template. `text` is there, or a page: `html` or `mjml`, which escape what they fill in. Without a
    `text`, one is made of the page."""

    kind: ClassVar[str] = "email"

    sender: AddressTemplate = Field(alias="from")
    to: AddressTemplate
    subject: LineTemplate
    text: TemplateText | None = None
    html: HtmlTemplate | None = None
    mjml: HtmlTemplate | None = None
    inline_css: bool = True
    reply_to: AddressTemplate | None = None
    headers: dict[str, LineTemplate] = Field(default_factory=dict)
    attachments: list[Attachment] = Field(default_factory=list)
    track: list[Track] = Field(default_factory=list)
    relay: str | None = Field(None, pattern=RELAY_NAME)

    @property
    def summary(self) -> str:
        return self.subject

    def check(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        for name in self.headers:
            if problem := mail_header_problem(name):
                yield f"email.headers.{name}", f"the header '{name}' {problem}"
            elif name.lower() in seen:
                yield f"email.headers.{name}", f"the header {name} stands here twice"
            seen.add(name.lower())
        if self.text is None and self.html is None and self.mjml is None:
            yield "email", "an email needs text or html, or both; mjml may stand in place of html"
        if self.html is not None and self.mjml is not None:
            yield "email.mjml", "an email has html or mjml, since mjml becomes its html"
        if self.mjml is not None and (problem := page_of(self.mjml).problem) is not None:
            yield "email.mjml", problem
        if Track.OPENS in self.track and self.html is None and self.mjml is None:
            yield (
                "email.track",
                "opens are seen by an image in the page: give the email html or mjml, or track clicks alone",
            )

    async def way(self, cohort: Cohort, tools: DeliveryTools) -> Way:
        return await way_of(cohort, tools, self.relay, self._letter.to)

    def write(self, contact: ContactView, key: str, cohort: Cohort, at: datetime) -> Envelope[Mail]:
        return self._enveloped(contact, key, cohort, at, self._texts)

    def writer(self, cohort: Cohort, tools: DeliveryTools, keys: KeyWriter, at: datetime) -> Writer:
        texts, url, clock = self._texts, tools.public_url, tools.clock
        if self.track and url is not None:
            texts = self.tracked_texts

        def write(contact: ContactView, key: str) -> Envelope[Mail]:
            ways = None if texts.links is None or url is None else ways_of(contact, key, url, keys.secret, clock.now())
            return self._enveloped(contact, key, cohort, at, texts, ways)

        return write

    def _enveloped(
        self, contact: ContactView, key: str, cohort: Cohort, at: datetime, texts: Texts, ways: Ways | None = None
    ) -> Envelope[Mail]:
        about = _About(None if self.transactional else _List(self.topic, cohort.customer), feedback_id(cohort))
        mail = self._letter.write(contact, key, at, *texts.render(contact, ways), about)
        return Envelope(mail.recipient, key, mail, self.topic, self.transactional)

    def encloser(self, files: Files, customer: int) -> Callable[[Envelope[Mail]], Envelope[Mail]]:
        enclosed = parts(self.attachments, files, customer)
        return lambda envelope: replace(
            envelope, message=with_parts(envelope.message, enclosed, f"=_{envelope.key}_mixed")
        )

    def write_test(self, contact: ContactView, to: str, key: str, cohort: Cohort, at: datetime) -> Envelope[Mail]:
        mail = self._letter.write(contact, key, at, *self._texts.render(contact, None), to=own_mailbox(to), mark=TEST)
        return Envelope(mail.recipient, key, mail)

    def show(self, envelope: Envelope[Mail]) -> ShownMessage:
        message = message_from_bytes(envelope.message.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        return ShownMessage(
            envelope.recipient, str(message["subject"] or ""), _body(message, "plain"), _body(message, "html")
        )

    @property
    def _source(self) -> Source:
        return Source(self.text, self.html, self.mjml, self.inline_css)

    @cached_property
    def _texts(self) -> Texts:
        return prepared(self._source)

    @cached_property
    def tracked_texts(self) -> Texts:
        """The texts with links that tell when they are followed, as far as the step tracks that."""
        return prepared(self._source, frozenset(self.track))

    @cached_property
    def _letter(self) -> "_Letter":
        return _Letter(
            sender=compile_template(self.sender),
            to=compile_template(self.to),
            subject=compile_template(self.subject),
            reply_to=compile_template(self.reply_to) if self.reply_to is not None else None,
            headers=tuple((name, compile_template(text)) for name, text in self.headers.items()),
            names=frozenset(map(str.lower, self.headers)),
        )


@dataclass(frozen=True, slots=True)
class _Letter:
    """The compiled templates of an email step's header."""

    sender: Template
    to: Template
    subject: Template
    reply_to: Template | None
    headers: tuple[tuple[str, Template], ...]
    names: frozenset[str]  # of these headers, in lower case
    writer: BodyWriter = field(default_factory=BodyWriter)

    def write(
        self,
        contact: ContactView,
        key: str,
        date: datetime,
        text: str | None,
        html: str | None,
        about: "_About | None" = None,
        *,
        to: Mailbox | None = None,
        mark: str = "",
    ) -> Mail:
        """One contact's mail with these rendered texts; to `to` instead, if that is given, and with `mark` before its
        subject. Raises `RenderFailed`."""
        letterhead = _letterhead(self.sender.render(contact), _filled(self.reply_to, contact))
        return compose(
            letterhead,
            self.writer,
            to=self.to.render(contact) if to is None else to,
            subject=mark + self.subject.render(contact),
            text=text,
            html=html,
            key=key,
            date=date,
            list_headers=about.headers(contact, letterhead.sender.domain, self.names) if about else b"",
            own_headers=b"".join([own_header(name, template.render(contact)) for name, template in self.headers]),
        )


@dataclass(frozen=True, slots=True)
class _List:
    """The list that a mail goes to: all that a customer sends about a topic."""

    topic: str | None
    customer: int

    def headers(self, contact: ContactView, domain: str) -> bytes:
        """See list_headers.py."""
        return list_headers(contact.unsubscribe_url, self.topic, self.customer, domain)


@dataclass(frozen=True, slots=True)
class _About:
    """What the header says of the mailing: the list, if it goes to one, and what complaints are counted by."""

    to_list: _List | None
    feedback_id: bytes

    def headers(self, contact: ContactView, domain: str, own: frozenset[str]) -> bytes:
        """The lines, but for what the author has set."""
        listed = b"" if self.to_list is None else self.to_list.headers(contact, domain)
        return listed if "feedback-id" in own else listed + self.feedback_id


@lru_cache(maxsize=256)
def _letterhead(sender: str, reply_to: str | None) -> Letterhead:
    return Letterhead.of(sender, reply_to)


def _body(message: EmailMessage, kind: str) -> str | None:
    """A body as it was rendered: on the wire each line ends with CRLF, the last one too."""
    part = message.get_body((kind,))
    return None if part is None else str(part.get_content()).replace("\r\n", "\n").removesuffix("\n")


def _filled(template: Template | None, contact: ContactView) -> str | None:
    return None if template is None else template.render(contact)


EMAIL = ChannelType(step=Email, settings=ChannelSettings, driver=driver)
