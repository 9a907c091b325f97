"""What steps that send have in common: templates to check, and what to do when an outcome is unknown."""

import re
from collections.abc import Iterator
from enum import StrEnum

from caravan.errors import InvalidInput
from caravan.journeys.placeholders import Template, compile_template

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class OnUnknown(StrEnum):
    """What becomes of a send whose outcome nobody knows (law 3)."""

    SKIP = "skip"
    RESEND = "resend"


def check_template(where: str, text: str, *, html: bool = False) -> Iterator[tuple[str, str]]:
    """The problem with a template, if there is one."""
    try:
        compile_template(text, html=html)
    except InvalidInput as error:
        yield where, error.message


def check_line(where: str, text: str) -> Iterator[tuple[str, str]]:
    """The problem with a template that becomes one line of a header, if there is one."""
    problems = list(check_template(where, text))
    yield from problems
    if not problems and CONTROL.search(_fixed(compile_template(text))):
        yield where, "this must be one line, without control characters"


def _fixed(template: Template) -> str:
    return template.constant or ""
