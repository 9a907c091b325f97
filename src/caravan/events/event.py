"""An event: something that a contact did, as the API or a channel reports it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from caravan.journeys.event_names import NAME

LONGEST_ID = LONGEST_KEY = 256  # characters
API = "api"  # the source of what was reported by API


@dataclass(frozen=True, slots=True)
class Origin:
    """The delivery that an event answers, as its delivery key tells it."""

    batch: str
    step: str
    visit: int
    line: int


@dataclass(frozen=True, slots=True)
class Event:
    """What a contact did. The contact need not be known.

    Raises ValueError where the name, the contact or the key can't be one, or the moment has no time zone.
    """

    contact: str  # the customer's own id
    name: str
    at: datetime
    properties: Mapping[str, object] = field(default_factory=dict)  # any JSON object
    source: str = API  # or the channel's: "email:bounce", "email:open", "sms:twilio", …
    key: str | None = None  # of two events with the same source and key the first one counts
    origin: Origin | None = None

    def __post_init__(self) -> None:
        if NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r} is no name of an event: a letter, then up to 63 of letters, digits, _ . -")
        if not 0 < len(self.contact) <= LONGEST_ID or "\0" in self.contact:
            raise ValueError(f"a contact's id has 1 to {LONGEST_ID} characters, and no NUL")
        if self.key is not None and (not 0 < len(self.key) <= LONGEST_KEY or "\0" in self.key):
            raise ValueError(f"the key of an event has 1 to {LONGEST_KEY} characters, and no NUL")
        if self.at.tzinfo is None:
            raise ValueError("the moment of an event needs a time zone")
