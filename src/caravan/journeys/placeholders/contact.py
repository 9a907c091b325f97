"""What a template sees of a contact, and how a name in it is found."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caravan.clock import Clock
from caravan.journeys.placeholders.limits import MAX_DIGITS

UNSUBSCRIBE_URL = "unsubscribe_url"
OWN_NAMES = frozenset({"contact", UNSUBSCRIBE_URL})  # in a template, whatever properties there are


@dataclass(frozen=True, slots=True)
class ContactView:
    """What a template sees of a contact: its id, its properties (JSON values), and the moment for `'now' | date`.

    `unsubscribe_url` is where the contact can unsubscribe from the message that is being written.
    Without `now` that is the moment of the first question. Where `empty` is a set, the placeholders that came out empty
    in a text of this contact are added to it, each as it is written and without `contact.`.
    """

    id: str
    properties: Mapping[str, Any]
    now: datetime | None = None
    empty: set[str] | None = None
    unsubscribe_url: str | None = None

    @classmethod
    def read(
        cls,
        id: str,
        properties: str,
        now: datetime | None = None,
        empty: set[str] | None = None,
        unsubscribe_url: str | None = None,
    ) -> "ContactView":
        """A contact whose properties are JSON text. A number with too many digits for an int stays their text."""
        try:
            return cls(id, json.loads(properties), now, empty, unsubscribe_url)
        except ValueError:
            return cls(id, json.loads(properties, parse_int=_integer), now, empty, unsubscribe_url)

    def moment(self) -> datetime:
        """The moment of the rendering, timezone-aware."""
        return self.now or Clock().now()


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def find(names: Mapping[str, Any], name: str) -> Any:
    """The value with this name, else the first one whose name differs only in case. Raises KeyError."""
    try:
        return names[name]
    except KeyError:
        folded = name.casefold()
        for each in names:
            if each.casefold() == folded:
                return names[each]
        raise


class ContactNames(Mapping[str, object]):
    """`contact`: its id, then its properties."""

    __slots__ = ("_folded", "_id", "_properties")

    def __init__(self, contact: ContactView) -> None:
        self._id, self._properties = contact.id, contact.properties
        self._folded: dict[str, str] | None = None

    def __getitem__(self, name: str) -> object:
        if name == "id":
            return self._id
        try:
            return self._properties[name]
        except KeyError:
            return self._find(name.casefold())

    def __iter__(self) -> Iterator[str]:
        return iter({"id": None, **self._properties})

    def __len__(self) -> int:
        return len(self._properties) + ("id" not in self._properties)

    def _find(self, folded: str) -> object:
        if self._folded is None:
            self._folded = {}
            for each in self._properties:
                self._folded.setdefault(each.casefold(), each)
        if folded in self._folded:
            return self._properties[self._folded[folded]]
        if folded == "id":
            return self._id
        raise KeyError(folded)


class Names(ContactNames):
    """All names that a template starts with: `contact`, and what is in it."""

    __slots__ = ("_contact", "_whole")

    def __init__(self, contact: ContactView) -> None:
        super().__init__(contact)
        self._contact = contact
        self._whole: ContactNames | None = None

    def __getitem__(self, name: str) -> object:
        if name in OWN_NAMES:
            return self._own(name)
        try:
            return super().__getitem__(name)
        except KeyError:
            if name.casefold() in OWN_NAMES:
                return self._own(name.casefold())
            raise

    def _own(self, name: str) -> object:
        return self._all() if name == "contact" else self._contact.unsubscribe_url

    def _all(self) -> ContactNames:
        if self._whole is None:
            self._whole = ContactNames(self._contact)
        return self._whole
