"""What has come back about one delivery, whoever reported it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What became of a delivery after it was sent. The words are the names of events, but for the last."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"
    DELIVERED = "delivered"
    REPLIED = "replied"
    UNREAD = "unread"  # a machine sent it, and it says nothing that Caravan knows: kept for people to look at


#: Those of which each is kept for itself; of deliveries there are too many.
KEPT_KINDS: Final = (Kind.BOUNCED, Kind.COMPLAINED, Kind.REPLIED, Kind.UNREAD)


@dataclass(frozen=True, slots=True)
class Returned:
    """One thing that has come back. `key` is the delivery key as it stands in it, which is still to be checked; None
    where it is told otherwise, as by the address that a mail came to."""

    kind: Kind
    source: str  # "email:bounce", "email:arf", "email:ses" …
    key: str | None = None
    hard: bool = False  # of a bounce: the address is bad for good
    code: str = ""  # reply code and enhanced code, as far as they are told: "550 5.1.1"
    reason: str = ""  # what the other side says, on one line
    at: datetime | None = None  # None: now
    told: bytes = b""  # the message of the provider; empty where the mail itself is kept
