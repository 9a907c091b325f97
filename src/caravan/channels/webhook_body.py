"""The body of a webhook: JSON or a form, filled in for each contact."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from urllib.parse import urlencode

from caravan.errors import RenderFailed
from caravan.journeys.json_values import compiled, filled
from caravan.journeys.placeholders import ContactView, Template, compile_template
from caravan.store.cohorts import Cohort


class Body(Protocol):
    """What a webhook tells of a contact."""

    content_type: ClassVar[str]

    def write(self, contact: ContactView, cohort: Cohort, key: str) -> bytes:
        """Its octets. Raises `RenderFailed`."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """What a webhook without a body of its own tells. `keyed`: with the delivery key, where no header has it."""

    content_type: ClassVar[str] = "application/json"
    keyed: bool = False

    def write(self, contact: ContactView, cohort: Cohort, key: str) -> bytes:
        """Its octets. Raises `RenderFailed`."""
        where = {"journey": cohort.journey, "batch": cohort.batch, "step": cohort.step}
        own = {"key": key} if self.keyed else {}
        return _as_json({"contact": contact.id, **own, **where, "properties": contact.properties})


ACCEPT_URL, REJECT_URL = "accept_url", "reject_url"  # beside a contact's properties, where an ask is filled in


class ToldAndAsked:
    """What an ask without a body of its own tells: with where the contact is accepted, and where rejected."""

    content_type: ClassVar[str] = "application/json"

    def write(self, contact: ContactView, cohort: Cohort, key: str) -> bytes:
        """Its octets. Raises `RenderFailed`."""
        own = {name: value for name, value in contact.properties.items() if name not in (ACCEPT_URL, REJECT_URL)}
        where = {"journey": cohort.journey, "version": cohort.version, "batch": cohort.batch, "step": cohort.step}
        urls = {"accept": contact.properties[ACCEPT_URL], "reject": contact.properties[REJECT_URL]}
        return _as_json({"contact": contact.id, **where, "properties": own, **urls})


@dataclass(frozen=True, slots=True)
class JsonBody:
    """Any JSON value, with a template in place of each text."""

    content_type: ClassVar[str] = "application/json"
    value: Any

    @classmethod
    def of(cls, value: Any) -> "JsonBody":
        """The body that is written so in a journey."""
        return cls(compiled(value))

    def write(self, contact: ContactView, cohort: Cohort, key: str) -> bytes:
        """Its octets. Raises `RenderFailed`."""
        return _as_json(filled(self.value, contact))


@dataclass(frozen=True, slots=True)
class FormBody:
    """The fields of an HTML form, as browsers send them (WHATWG URL §5)."""

    content_type: ClassVar[str] = "application/x-www-form-urlencoded"
    fields: tuple[tuple[str, Template], ...]

    @classmethod
    def of(cls, fields: Mapping[str, str | Sequence[str]]) -> "FormBody":
        """The form that is written so in a journey; a field with a list stands there once for each of its texts."""
        pairs = ((name, [each] if isinstance(each, str) else each) for name, each in fields.items())
        return cls(tuple((name, compile_template(text)) for name, texts in pairs for text in texts))

    def write(self, contact: ContactView, cohort: Cohort, key: str) -> bytes:
        """Its octets. Raises `RenderFailed`."""
        try:
            return urlencode([(name, template.render(contact)) for name, template in self.fields]).encode("ascii")
        except UnicodeEncodeError:
            raise _half_a_pair() from None


def _half_a_pair() -> RenderFailed:
    return RenderFailed("The body can't be sent: a text holds half a surrogate pair.")


def _as_json(body: Any) -> bytes:
    """Raises `RenderFailed` for what JSON (RFC 8259) has no form for."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise _half_a_pair() from None
    except ValueError:
        raise RenderFailed("The body can't be sent: a number in it is too large.") from None
