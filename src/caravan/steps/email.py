"""Email: one message to each contact."""

import re
from collections.abc import Iterator
from typing import ClassVar

from email_validator import EmailNotValidError, validate_email
from pydantic import Field

from caravan.journeys.model import Step
from caravan.journeys.placeholders import compile_template
from caravan.journeys.sending import OnUnknown, check_line, check_template


class Email(Step):
    """Every text is a template. At least one of `text` and `html` is there; `html` escapes what it fills in."""

    kind: ClassVar[str] = "email"

    sender: str = Field(alias="from", min_length=1)
    to: str = Field(min_length=1)
    subject: str = Field(min_length=1)
    text: str | None = None
    html: str | None = None
    reply_to: str | None = None
    on_unknown: OnUnknown = OnUnknown.SKIP

    def check(self) -> Iterator[tuple[str, str]]:
        if self.text is None and self.html is None:
            yield "email", "an email needs text or html, or both"
        yield from check_line("email.subject", self.subject)
        for key, text in (("from", self.sender), ("to", self.to), ("reply_to", self.reply_to)):
            if text is not None:
                yield from _check_address(f"email.{key}", text)
        if self.text is not None:
            yield from check_template("email.text", self.text)
        if self.html is not None:
            yield from check_template("email.html", self.html, html=True)


def _check_address(where: str, text: str) -> Iterator[tuple[str, str]]:
    """A fixed address must be one; what placeholders make of one is seen when it is sent."""
    problems = list(check_line(where, text))
    yield from problems
    if problems or compile_template(text).constant is None:
        return
    named = re.fullmatch(r"[^<>]*<([^<>]+)>", text.strip())
    try:
        validate_email(
            named[1] if named else text.strip(), check_deliverability=False, globally_deliverable=False
        )
    except EmailNotValidError:
        yield where, f"'{text}' is no address like shop@example.com or Shop <shop@example.com>"
