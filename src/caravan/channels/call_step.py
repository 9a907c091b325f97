"""What steps have in common that make one HTTP request for each contact: webhook and ask."""

import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from caravan.addresses import check_url
from caravan.channels.headers import header_problem
from caravan.channels.webhook import Call
from caravan.channels.webhook_body import Body
from caravan.channels.webhook_save import Saver
from caravan.channels.webhook_signing import PREFIX, SIGNATURE_HEADERS, SecretName
from caravan.delivery.envelope import Envelope
from caravan.delivery.message_step import MessageStep, ShownMessage
from caravan.errors import InvalidInput, NoRecipient
from caravan.journeys.fields import LineTemplate
from caravan.journeys.json_values import template_problems
from caravan.journeys.placeholders import ContactView, Template, compile_template
from caravan.store.cohorts import Cohort

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


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


def _secret(name: str) -> str:
    if name.startswith(PREFIX):
        raise ValueError("this is the name of a secret, which the operator keeps, and never the secret itself")
    if not _NAME.fullmatch(name):
        raise ValueError("a secret's name is a word of at most 64 letters, digits, _ and -")
    return name


class CallStep(MessageStep):
    """`url`, the values of `headers`, and every text in `body` (any JSON value) are templates. With `secret`, the name
    of one, each call is signed."""

    reaches_people: ClassVar[bool] = False
    json_fields: ClassVar[frozenset[str]] = frozenset({"body"})

    url: Annotated[LineTemplate, AfterValidator(_url)]
    method: Method = Method.POST
    headers: dict[str, LineTemplate] = Field(default_factory=dict)
    body: Any = None
    secret: Annotated[str, AfterValidator(_secret)] | None = None

    @property
    def summary(self) -> str:
        return f"{self.method} {self.url}"

    def check(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        for name in self.headers:
            where = f"{self.kind}.headers.{name}"
            if problem := header_problem(name):
                yield where, f"the header '{name}' {problem}"
            elif name.lower() in seen:
                yield where, f"the header {name} stands here twice"
            elif self.secret is not None and name.lower() in SIGNATURE_HEADERS:
                yield where, f"the header '{name}' is a part of the signature, and is set by Caravan itself"
            seen.add(name.lower())
        yield from template_problems(f"{self.kind}.body", self.body)

    def write(self, contact: ContactView, key: str, cohort: Cohort, at: datetime) -> Envelope[Call]:
        call = self._form.write(contact, key, cohort)
        return Envelope(call.url, key, call, self.topic, self.transactional)

    def check_recipient(self, envelope: Envelope[Call]) -> None:
        try:
            check_url(envelope.message.url, allow_private=True)  # whether it may be dialled shows when it is
        except InvalidInput as error:
            raise NoRecipient(error.message) from None

    def show(self, envelope: Envelope[Call]) -> ShownMessage:
        return ShownMessage(envelope.recipient, text=envelope.message.body.decode())

    @property
    def one_place(self) -> bool:
        return "/" in self.url.partition("{")[0].partition("://")[2] or "{" not in self.url

    @property
    def saver(self) -> Saver | None:
        """What takes properties out of the answers."""
        return None

    @abstractmethod
    def told(self) -> Body:
        """What is told of a contact."""

    @cached_property
    def _form(self) -> "_Form":
        headers = {name: compile_template(text) for name, text in self.headers.items()}
        return _Form(self.method, compile_template(self.url), headers, self.told(), self.secret, self.saver)


@dataclass(frozen=True, slots=True)
class _Form:
    """The compiled templates of a step."""

    method: Method
    url: Template
    headers: dict[str, Template]
    body: Body
    secret: str | None
    save: Saver | None

    def write(self, contact: ContactView, key: str, cohort: Cohort) -> Call:
        """One contact's request. Raises `RenderFailed`."""
        headers = {name: template.render(contact) for name, template in self.headers.items()}
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = self.body.content_type
        return Call(
            method=self.method,
            url=self.url.render(contact),
            headers=headers,
            body=self.body.write(contact, cohort, key),
            key=key,
            secret=None if self.secret is None else SecretName(cohort.customer, self.secret),
            save=self.save,
        )
