"""Email: one message to each contact."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from caravan.journeys.fields import AddressTemplate, HtmlTemplate, LineTemplate, OnUnknown, TemplateText
from caravan.journeys.model import Step


class Email(Step):
    """Every text is a template. At least one of `text` and `html` is there; `html` escapes what it fills in."""

    kind: ClassVar[str] = "email"

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
