"""One cohort's delivery, and what comes of each of its contacts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic

from caravan.delivery.channel import Channel
from caravan.delivery.envelope import Envelope, Message
from caravan.delivery.tools import DeliveryTools
from caravan.journeys.fields import OnUnknown
from caravan.journeys.placeholders import ContactView
from caravan.store.cohorts import Cohort
from caravan.store.windows import Windows


@dataclass(frozen=True, slots=True)
class ContactOutcome:
    """What came of one contact of a window: an `Outcome`, AGAIN or LATER."""

    outcome: str
    detail: str
    at: datetime
    after: float | None = None  # with `again`: seconds that the other side asked for; with `later`: until it is due
    outage: bool = False  # with `again`: not this contact, but the channel is in trouble
    doubt: bool = False  # with `again`: this try, or an earlier one, may have arrived


@dataclass(frozen=True, slots=True)
class CohortDelivery(Generic[Message]):
    """One cohort's delivery: how to make a contact's message, and what sends it."""

    cohort: Cohort
    tools: DeliveryTools
    channel: Channel[Message]
    prepare: Callable[[dict[str, Any]], Envelope[Message]]  # a row of CONTACTS; may raise RenderFailed
    on_unknown: OnUnknown
    to: str | None
    name: str  # of the channel
    one_place: bool = True  # all messages go to the same relay or host, so that one can be away for all of them

    @property
    def claim(self) -> str:
        """The claim under which this worker has the cohort."""
        assert self.cohort.claim is not None
        return self.cohort.claim

    @property
    def windows(self) -> Windows:
        return Windows(self.tools.pool, self.cohort.id, self.claim)


def view(person: dict[str, Any], now: datetime, empty: set[str] | None = None) -> ContactView:
    """A row of CONTACTS as templates see it at the moment `now`; placeholders that come out empty are added to `empty`.
    Raises `RenderFailed`."""
    return ContactView.read(person["id"], person["properties"], now, empty)
