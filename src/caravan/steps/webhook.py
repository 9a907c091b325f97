"""Webhook: one HTTP request for each contact."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from caravan.journeys.model import Step
from caravan.journeys.placeholders import compile_template
from caravan.journeys.sending import OnUnknown, check_line, check_template

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})


class Method(StrEnum):
    """The HTTP methods that a webhook can use."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"


class Webhook(Step):
    """`url`, the values of `headers` and every text in `body` (any JSON value) are templates.

    Without `body` the contact is told with its id, journey, batch, step and properties.
    """

    kind: ClassVar[str] = "webhook"
    json_fields: ClassVar[frozenset[str]] = frozenset({"body"})

    url: str = Field(min_length=1)
    method: Method = Method.POST
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    on_unknown: OnUnknown = OnUnknown.SKIP

    def check(self) -> Iterator[tuple[str, str]]:
        yield from _check_url(self.url)
        seen: set[str] = set()
        for name, value in self.headers.items():
            where = f"webhook.headers.{name}"
            if not _TOKEN.fullmatch(name):
                yield where, f"'{name}' is no name of a header (RFC 9110)"
            elif name.lower() in _OURS:
                yield where, f"the header {name} is set by Caravan itself"
            elif name.lower() in seen:
                yield where, f"the header {name} stands here twice"
            seen.add(name.lower())
            yield from check_line(where, value)
        yield from _check_body("webhook.body", self.body)


def _check_url(url: str) -> Iterator[tuple[str, str]]:
    problems = list(check_line("webhook.url", url))
    yield from problems
    if problems or url.lstrip().startswith(("{{", "{%")):
        return
    fixed = compile_template(url).constant
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname if fixed else "?"
    except ValueError:
        scheme, host = "", None
    if scheme not in ("http", "https") or not host or (fixed and re.search(r"\s", fixed)):
        yield "webhook.url", f"'{url}' is no address like https://example.com/hooks"


def _check_body(where: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield from check_template(where, value)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _check_body(f"{where}.{key}", each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _check_body(f"{where}[{index}]", each)
