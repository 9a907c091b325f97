"""Webhook: one HTTP request for each contact."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from caravan.addresses import check_url
from caravan.channels.headers import header_problem
from caravan.channels.webhook import Call, WebhookChannel
from caravan.delivery.channel_type import ChannelType
from caravan.delivery.envelope import Envelope
from caravan.delivery.message_step import MessageStep, ShownMessage
from caravan.errors import InvalidInput, NoRecipient, RenderFailed
from caravan.journeys.fields import LineTemplate, check_template
from caravan.journeys.placeholders import ContactView, Template, compile_template
from caravan.settings import ChannelSettings, Settings
from caravan.store.cohorts import Cohort


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


class Webhook(MessageStep):
    """`url`, the values of `headers` and every text in `body` (any JSON value) are templates.

    Without `body` the contact is told with its id, journey, batch, step and properties.
    """

    kind: ClassVar[str] = "webhook"
    json_fields: ClassVar[frozenset[str]] = frozenset({"body"})

    url: Annotated[LineTemplate, AfterValidator(_url)]
    method: Method = Method.POST
    headers: dict[str, LineTemplate] = Field(default_factory=dict)
    body: Any = None

    def check(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        for name in self.headers:
            where = f"webhook.headers.{name}"
            if problem := header_problem(name):
                yield where, f"the header '{name}' {problem}"
            elif name.lower() in seen:
                yield where, f"the header {name} stands here twice"
            seen.add(name.lower())
        yield from _check_body("webhook.body", self.body)

    def write(self, contact: ContactView, key: str, cohort: Cohort, at: datetime) -> Envelope[Call]:
        call = self._form.write(self.method, contact, key, cohort)
        return Envelope(call.url, key, call)

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

    @cached_property
    def _form(self) -> "_Form":
        headers = {name: compile_template(text) for name, text in self.headers.items()}
        return _Form(compile_template(self.url), headers, _compiled(self.body))


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


@dataclass(frozen=True, slots=True)
class _Form:
    """The compiled templates of a webhook step; `body` has a template in place of each text."""

    url: Template
    headers: dict[str, Template]
    body: Any

    def write(self, method: Method, contact: ContactView, key: str, cohort: Cohort) -> Call:
        """One contact's request. Raises `RenderFailed`."""
        body = _told(cohort, contact) if self.body is None else _filled(self.body, contact)
        headers = {name: template.render(contact) for name, template in self.headers.items()}
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        return Call(
            method=method,
            url=self.url.render(contact),
            headers=headers,
            body=_as_json(body),
            key=key,
        )


def _told(cohort: Cohort, contact: ContactView) -> dict[str, Any]:
    """What a webhook without a body tells."""
    where = {"journey": cohort.journey, "batch": cohort.batch, "step": cohort.step}
    return {"contact": contact.id, **where, "properties": contact.properties}


def _as_json(body: Any) -> bytes:
    """Raises `RenderFailed` for what JSON (RFC 8259) has no form for."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise RenderFailed("The body can't be sent: a text holds half a surrogate pair.") from None
    except ValueError:
        raise RenderFailed("The body can't be sent: a number in it is too large.") from None


def _compiled(value: Any) -> Any:
    if isinstance(value, str):
        return compile_template(value)
    if isinstance(value, dict):
        return {key: _compiled(each) for key, each in value.items()}
    return [_compiled(each) for each in value] if isinstance(value, list) else value


def _filled(value: Any, contact: ContactView) -> Any:
    if isinstance(value, Template):
        return value.render(contact)
    if isinstance(value, dict):
        return {key: _filled(each, contact) for key, each in value.items()}
    return [_filled(each, contact) for each in value] if isinstance(value, list) else value


def _driver(own: ChannelSettings, settings: Settings) -> WebhookChannel:
    return WebhookChannel(
        connections=settings.webhook_connections,
        timeout=settings.webhook_timeout,
        allow_private=settings.download_allow_private,
    )


WEBHOOK = ChannelType(step=Webhook, settings=ChannelSettings, driver=_driver)
