"""Email: one message to each contact."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache, partial
from typing import Any, ClassVar

from pydantic import Field

from caravan.channels.content import BodyWriter
from caravan.channels.identity import delivery_key
from caravan.channels.mail import Envelope, Mail, compose
from caravan.delivery.cohort_delivery import CohortDelivery, view
from caravan.delivery.deliver import deliver
from caravan.journeys.fields import AddressTemplate, HtmlTemplate, LineTemplate, OnUnknown, TemplateText
from caravan.journeys.placeholders import ContactView, Template, compile_template
from caravan.steps.move import Move, Tools
from caravan.steps.step import CohortStep
from caravan.store.cohorts import Cohort


class Email(CohortStep):
    """Every text is a template. At least one of `text` and `html` is there; `html` escapes what it fills in."""

    kind: ClassVar[str] = "email"
    sends: ClassVar[bool] = True

    sender: AddressTemplate = Field(alias="from")
    to: AddressTemplate
    subject: LineTemplate
    text: TemplateText | None = None
    html: HtmlTemplate | None = None
    reply_to: AddressTemplate | None = None
    on_unknown: OnUnknown = OnUnknown.SKIP

    def check(self) -> Iterator[tuple[str, str]]:
        if self.text is None and self.html is None:
            yield "email", "an email needs text or html, or both"

    async def take(self, cohort: Cohort, tools: Tools) -> Move | None:
        """Send everyone their mail."""
        write = partial(self._letter.write, cohort, tools.clock.now())
        return await deliver(CohortDelivery(cohort, tools, tools.email, write, self.on_unknown, self.next, self.kind))

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

    def write(self, cohort: Cohort, date: datetime, person: dict[str, Any]) -> Mail:
        """One contact's mail. Raises `RenderFailed`."""
        contact = view(person, date)
        return compose(
            _envelope(self.sender.render(contact), _filled(self.reply_to, contact)),
            self.writer,
            to=self.to.render(contact),
            subject=self.subject.render(contact),
            text=_filled(self.text, contact),
            html=_filled(self.html, contact),
            key=delivery_key(cohort.batch, cohort.step, contact.id, person["line"], cohort.visit),
            date=date,
        )


@lru_cache(maxsize=256)
def _envelope(sender: str, reply_to: str | None) -> Envelope:
    return Envelope.of(sender, reply_to)


def _filled(template: Template | None, contact: ContactView) -> str | None:
    return None if template is None else template.render(contact)
