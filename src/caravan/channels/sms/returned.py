"""What comes back from a gateway: calls that it makes, and what they say."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from caravan.errors import InvalidInput

_MOST_FIELDS = 200


class Fate(StrEnum):
    """What became of a message that a gateway took."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"  # this time
    DEAD = "dead"  # the number gets no messages at all
    STOPPED = "stopped"  # its owner does not want them


@dataclass(frozen=True)
class Posted:
    """A POST that came in. `url` is how its sender wrote it; the names of `headers` are in lower case."""

    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    @cached_property
    def fields(self) -> list[tuple[str, str]]:
        """The fields of a form, in their order. Raises `InvalidInput`."""
        try:
            text = self.body.decode("utf-8")
            return parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
        except ValueError:
            raise InvalidInput("The body is no form in UTF-8.") from None

    @property
    def is_form(self) -> bool:
        """Whether its body is a form."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == "application/x-www-form-urlencoded"

    @cached_property
    def content(self) -> Any:
        """The JSON of its body, or its form as an object. Raises `InvalidInput`."""
        if self.is_form:
            return dict(self.fields)
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise InvalidInput("The body is neither JSON nor a form.") from None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one message. `key` is its delivery key, where the gateway says it."""

    fate: Fate
    key: str | None
    detail: str  # one line: what the gateway called it
    id: str = ""  # the gateway's name for the message
    number: str = ""  # whom it went to


@dataclass(frozen=True, slots=True)
class Reply:
    """A text message from a recipient."""

    number: str  # whose it is
    to: str  # what it was sent to: one of our senders
    text: str
    id: str = ""  # the gateway's name for it
