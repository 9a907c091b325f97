"""SMS: one text message to each contact."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from caravan.channels.sms.numbers import REGIONS, check_sender, to_e164
from caravan.channels.sms.open import open_channel
from caravan.channels.sms.segments import size_of
from caravan.channels.sms.text import Text, clean
from caravan.delivery.channel import Channel
from caravan.delivery.channel_type import ChannelType
from caravan.delivery.envelope import Envelope
from caravan.delivery.message_step import MessageSize, MessageStep, ShownMessage
from caravan.errors import InvalidInput, NoRecipient, RenderFailed
from caravan.journeys.fields import LineTemplate, TemplateText
from caravan.journeys.placeholders import ContactView, Template, compile_template
from caravan.settings import ChannelSettings, Settings
from caravan.store.cohorts import Cohort

TEST: Final = "[Test] "  # what a test begins with
MOST_SEGMENTS: Final = 10  # of a step that does not say; 1,600 letters are the most that Twilio takes


def _sender(text: str) -> str:
    fixed = compile_template(text).constant
    if fixed is not None:
        try:
            check_sender(fixed)
        except RenderFailed as error:
            raise ValueError(error.message.removesuffix(".")) from None
    return text


def _region(text: str) -> str:
    fixed = compile_template(text).constant
    if fixed is not None and fixed.strip().upper() not in REGIONS:
        raise ValueError(f"'{text}' is no region; write two letters like SE, US or GB (ISO 3166)")
    return text


class Sms(MessageStep):
    """Every text is a template. A number without a country's code is of `region`. Without `from` the gateway's own
    sender is used. A text of more than `max_segments` is not sent."""

    kind: ClassVar[str] = "sms"

    to: LineTemplate
    text: TemplateText
    sender: Annotated[LineTemplate, AfterValidator(_sender)] | None = Field(None, alias="from")
    region: Annotated[LineTemplate, AfterValidator(_region)] | None = None
    max_segments: int = Field(MOST_SEGMENTS, ge=1, le=255)

    @property
    def summary(self) -> str:
        return " ".join(self.text.split())

    def check(self) -> Iterator[tuple[str, str]]:
        fixed = compile_template(self.text).constant
        if fixed is None:
            return
        if not clean(fixed):
            yield "sms.text", "the text is empty"
        elif problem := _too_long(size_of(clean(fixed)), self.max_segments):
            yield "sms.text", problem
        number = compile_template(self.to).constant
        region = None if self.region is None else compile_template(self.region).constant
        if number is not None and (self.region is None or region is not None):
            try:
                to_e164(number, _code(region))
            except NoRecipient as error:
                yield "sms.to", error.message.removesuffix(".")

    def write(self, contact: ContactView, key: str, cohort: Cohort, at: datetime) -> Envelope[Text]:
        number = to_e164(self._form.to.render(contact), _code(_filled(self._form.region, contact)))
        message = self._form.write(contact, number, key, self.max_segments)
        about = self.topic, self.transactional
        return Envelope(number, key, message, *about, sender=message.sender, contact=contact.id)

    def write_test(self, contact: ContactView, to: str, key: str, cohort: Cohort, at: datetime) -> Envelope[Text]:
        try:
            number = to_e164(to, _code(_filled(self._form.region, contact)))
        except NoRecipient as error:
            raise InvalidInput(error.message) from None
        return Envelope(number, key, self._form.write(contact, number, key, self.max_segments, TEST))

    def show(self, envelope: Envelope[Text]) -> ShownMessage:
        message = envelope.message
        return ShownMessage(message.number, text=message.text, size=message.size)

    def size(self, envelope: Envelope[Text]) -> MessageSize:
        return envelope.message.size

    @cached_property
    def _form(self) -> "_Form":
        return _Form(
            to=compile_template(self.to),
            text=compile_template(self.text),
            sender=None if self.sender is None else compile_template(self.sender),
            region=None if self.region is None else compile_template(self.region),
        )


@dataclass(frozen=True, slots=True)
class _Form:
    """The compiled templates of an SMS step."""

    to: Template
    text: Template
    sender: Template | None
    region: Template | None

    def write(self, contact: ContactView, number: str, key: str, most: int, mark: str = "") -> Text:
        """One contact's message, with `mark` before its text. Raises `RenderFailed`."""
        text = clean(mark + self.text.render(contact))
        if not text.removeprefix(mark.strip()):
            raise RenderFailed("The text of the message is empty.")
        size = size_of(text)
        if not mark and (problem := _too_long(size, most)):
            raise RenderFailed(f"{problem[:1].upper()}{problem[1:]}.")
        sender = _filled(self.sender, contact)
        return Text(number, text, key, size, None if sender is None else check_sender(sender))


def _too_long(size: MessageSize, most: int) -> str | None:
    """What is wrong with a text of this size, as a sentence without its end."""
    if size.segments <= most:
        return None
    why = "" if size.because is None else f" in {size.encoding}, because of {size.because}"
    return f"the text takes {size.segments} segments{why}; max_segments is {most}"


def _code(region: str | None) -> str | None:
    return None if region is None else region.strip().upper()


def _filled(template: Template | None, contact: ContactView) -> str | None:
    return None if template is None else template.render(contact)


def _driver(own: ChannelSettings, settings: Settings) -> Channel[Text]:
    return open_channel(settings)


SMS = ChannelType(step=Sms, settings=ChannelSettings, driver=_driver)
