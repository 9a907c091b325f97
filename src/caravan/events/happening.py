"""An event as it is matched with those who wait for it, and how some of them are kept until then."""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

from caravan.events.event import Event, Origin


@dataclass(frozen=True, slots=True)
class Happening:
    """What decides about those who wait: who did what, when, with which properties."""

    contact: str
    name: str
    at: datetime
    properties: dict[str, Any]
    origin: Origin | None = None  # the delivery that it answers


def write_group(events: Sequence[Event]) -> str:
    """Events as the text of a JSON array."""
    return json.dumps([_written(each) for each in events])


def read_group(text: str) -> list[Happening]:
    """The same back."""
    return [
        Happening(contact, name, datetime.fromisoformat(at), properties, Origin(*origin) if origin else None)
        for contact, name, at, properties, *origin in json.loads(text)
    ]


def _written(event: Event) -> list[Any]:
    origin = [] if event.origin is None else list(astuple(event.origin))
    return [event.contact, event.name, event.at.isoformat(), dict(event.properties), *origin]
