"""The types of fields: what is read when a step is read, so that each mistake is told with its line."""

import re
from enum import StrEnum
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator

from caravan.errors import InvalidInput
from caravan.journeys.placeholders import compile_template
from caravan.journeys.segments import compile_segment

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST_TOPIC = 64  # characters
_NAMED = re.compile(r"[^<>]*<([^<>]+)>\s*")


class OnUnknown(StrEnum):
    """What is done about a send whose outcome is unknown after a crash (docs/guarantees.md)."""

    SKIP = "skip"
    RESEND = "resend"


class Language(StrEnum):
    """What a text is read as. It stands in the type of a field, where `step_texts.py` looks for it."""

    SEGMENT = "segment"
    TEMPLATE = "template"


def _segment(text: str) -> str:
    try:
        compile_segment(text)
    except InvalidInput as error:
        raise ValueError(error.message) from None
    return text


def _counting_segment(text: str) -> str:
    try:
        compile_segment(text, counts=True)
    except InvalidInput as error:
        raise ValueError(error.message) from None
    return text


def check_template(text: str, *, html: bool = False) -> str:
    """The template itself. Raises ValueError if it can't be read."""
    try:
        compile_template(text, html=html)
    except InvalidInput as error:
        raise ValueError(error.message) from None
    return text


def _html_template(text: str) -> str:
    return check_template(text, html=True)


def _line(text: str) -> str:
    check_template(text)
    if not text.strip():
        raise ValueError("this is empty")
    if _CONTROL.search(compile_template(text).constant or ""):
        raise ValueError("this must be one line, without control characters")
    return text


def _address(text: str) -> str:
    """A fixed address must be one; what placeholders make of one is seen when it is sent."""
    _line(text)
    if compile_template(text).constant is None:
        return text
    named = _NAMED.fullmatch(text)
    address = named[1] if named else text.strip()
    try:
        validate_email(address, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        raise ValueError(f"'{text}' is no address like shop@example.com or Shop <shop@example.com>") from None
    return text


def check_topic(text: str) -> str:
    """A topic with single spaces. Raises ValueError for what can't be one."""
    plain = " ".join(text.split())
    if not plain or len(plain) > _LONGEST_TOPIC or _CONTROL.search(plain) or "{{" in plain or "{%" in plain:
        raise ValueError(f"a topic is one line of at most {_LONGEST_TOPIC} characters, the same for everyone")
    return plain


Condition = Annotated[str, AfterValidator(_segment), Language.SEGMENT]
CountingCondition = Annotated[str, AfterValidator(_counting_segment), Language.SEGMENT]
TemplateText = Annotated[str, AfterValidator(check_template), Language.TEMPLATE]
HtmlTemplate = Annotated[str, AfterValidator(_html_template), Language.TEMPLATE]
LineTemplate = Annotated[str, AfterValidator(_line), Language.TEMPLATE]
Topic = Annotated[str, AfterValidator(check_topic)]
AddressTemplate = Annotated[str, AfterValidator(_address), Language.TEMPLATE]
