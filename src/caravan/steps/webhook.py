"""Webhook: one HTTP request for each contact."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from caravan.journeys.fields import LineTemplate, OnUnknown, check_template
from caravan.journeys.model import Step
from caravan.journeys.placeholders import compile_template

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})


class Method(StrEnum):
    """The HTTP methods that a webhook can use."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"


def _url(text: str) -> str:
    if text.startswith(("{{", "{%")):
        return text
    fixed = compile_template(text).constant
    try:
        scheme, host = urlsplit(text).scheme, urlsplit(text).hostname if fixed else "?"
    except ValueError:
        scheme, host = "", None
    if scheme not in ("http", "https") or not host or (fixed and re.search(r"\s", fixed)):
        raise ValueError(f"'{text}' is no address like https://example.com/hooks")
    return text


class Webhook(Step):
    """`url`, the values of `headers` and every text in `body` (any JSON value) are templates.

    Without `body` the contact is told with its id, journey, batch, step and properties.
    """

    kind: ClassVar[str] = "webhook"
    json_fields: ClassVar[frozenset[str]] = frozenset({"body"})

    url: Annotated[LineTemplate, AfterValidator(_url)]
    method: Method = Method.POST
    headers: dict[str, LineTemplate] = Field(default_factory=dict)
    body: Any = None
    on_unknown: OnUnknown = OnUnknown.SKIP

    def check(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        for name in self.headers:
            where = f"webhook.headers.{name}"
            if not _TOKEN.fullmatch(name):
                yield where, f"'{name}' is no name of a header (RFC 9110)"
            elif name.lower() in _OURS:
                yield where, f"the header {name} is set by Caravan itself"
            elif name.lower() in seen:
                yield where, f"the header {name} stands here twice"
            seen.add(name.lower())
        yield from _check_body("webhook.body", self.body)


def _check_body(where: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        try:
            check_template(value)
        except ValueError as error:
            yield where, str(error)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _check_body(f"{where}.{key}", each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _check_body(f"{where}[{index}]", each)
