"""The last look at the time before a message goes out: it may have become too late for it while it was in line."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caravan.delivery.cohort_delivery import ContactOutcome
from caravan.delivery.envelope import Envelope
from caravan.delivery.gone import Gone
from caravan.delivery.hours import Hours
from caravan.store.journal import LATER
from caravan.store.ledger import Outcome

_AT_ONCE = 1.0  # seconds until a gate is asked about a delivery whose hours have just closed


class TooLate(Exception):
    """It is too late to send this."""

    def __init__(self, outcome: ContactOutcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


def expired(expires: datetime | None, now: datetime) -> ContactOutcome | None:
    """What becomes of whom nothing is sent after `expires`; None while it may be sent."""
    if expires is None or now < expires:
        return None
    return ContactOutcome(Outcome.EXPIRED, f"not sent after {expires:%Y-%m-%d %H:%M:%S} UTC", now)


class Deadlines:
    """Until when the messages of a window may go out."""

    def __init__(self, expires: datetime | None, now: Callable[[], datetime]) -> None:
        self._expires, self._now = expires, now
        self._closing = dict[tuple[Hours, str], datetime | None]()

    def check(self, envelope: Envelope[Any]) -> None:
        """Raise `TooLate` if it is."""
        if self._expires is None and envelope.hours is None:
            return
        now = self._now()
        if (over := expired(self._expires, now)) is not None:
            raise TooLate(over)
        if envelope.hours is None:
            return
        closing = self._closes(envelope.hours, envelope.zone, now)
        if closing is None or now >= closing:
            raise TooLate(ContactOutcome(LATER, "the hours of its step have closed", now, _AT_ONCE))

    def _closes(self, hours: Hours, zone: str, now: datetime) -> datetime | None:
        """When the opening closes that was open when this was asked first."""
        place = (hours, zone)
        if place not in self._closing:
            found = hours.opening(now, hours.zone(zone))
            self._closing[place] = found.ends if found is not None and found.begins <= now else None
        return self._closing[place]


@dataclass(frozen=True, slots=True)
class LastLook:
    """What is looked at once more just before each message of a window goes out."""

    gone: Gone
    deadlines: Deadlines

    def check(self, envelope: Envelope[Any]) -> None:
        """Raise `EndpointGone` or `TooLate`."""
        self.gone.check(envelope.recipient)
        self.deadlines.check(envelope)
