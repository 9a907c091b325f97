"""One cohort's delivery, and what comes of each of its contacts."""

from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic

import pyarrow as pa

from caravan.delivery.channel import Channel
from caravan.delivery.envelope import Envelope, Message
from caravan.delivery.tools import DeliveryTools
from caravan.journeys.fields import OnUnknown
from caravan.journeys.placeholders import ContactView
from caravan.store.cohorts import Cohort
from caravan.store.routes import Route
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
    saved: str | None = None  # with `sent`: new properties, a JSON object


@dataclass(frozen=True, slots=True)
class Together(Generic[Message]):
    """How messages of several contacts go out as one: at most so many, of those that are alike."""

    most: int
    alike: Callable[[Envelope[Message]], Hashable]
    join: Callable[[Sequence[Envelope[Message]]], Envelope[Message]]


@dataclass(slots=True)
class CohortDelivery(Generic[Message]):
    """One cohort's delivery: how to make a contact's message, and what sends it."""

    cohort: Cohort
    tools: DeliveryTools
    channel: Channel[Message]
    #: The message of a row of CONTACTS, or why it has none now; may raise `RenderFailed`.
    prepare: Callable[[dict[str, Any]], Envelope[Message] | ContactOutcome]
    on_unknown: OnUnknown
    to: str | None
    name: str  # of the channel
    one_place: bool = True  # all messages go to the same relay or host, so that one can be away for all of them

    relay: str | None = None  # by which all of them go, where the channel has relays
    providers_of: Callable[[pa.Table], Awaitable[list[str]]] | None = None  # of each row of CONTACTS
    expires: datetime | None = None  # nothing is sent from then on
    keeps_letters: bool = False  # who failed can be sent to once more
    answers_until: Callable[[datetime], datetime] | None = None  # who was asked now stands until then; else goes on
    together: Together[Message] | None = None  # how several go out as one; else each goes by itself
    route: Route = field(init=False)
    sorted_for: frozenset[str] = field(init=False)  # providers whose contacts are in cohorts of their own

    def __post_init__(self) -> None:
        self.now_of(self.cohort.provider, self.cohort.sorted_for)

    def now_of(self, provider: str | None, sorted_for: str | None) -> None:
        """All contacts turned out to have this provider, or none of these."""
        self.route = Route(self.name, self.relay, provider)
        self.sorted_for = frozenset(sorted_for.split(",")) if sorted_for else frozenset()

    def parcels(
        self, messages: Sequence[Envelope[Message] | ContactOutcome]
    ) -> Iterator[tuple[Sequence[int], Envelope[Message]]]:
        """What goes out, each with the places of those whom it is for."""
        waiting = [(place, each) for place, each in enumerate(messages) if isinstance(each, Envelope)]
        if self.together is None:
            yield from (((place,), each) for place, each in waiting)
            return
        alike = dict[Hashable, list[tuple[int, Envelope[Message]]]]()
        for place, each in waiting:
            alike.setdefault(self.together.alike(each), []).append((place, each))
        for some in alike.values():
            for first in range(0, len(some), self.together.most):
                chosen = some[first : first + self.together.most]
                yield [place for place, _ in chosen], self.together.join([each for _, each in chosen])

    @property
    def claim(self) -> str:
        """The claim under which this worker has the cohort."""
        assert self.cohort.claim is not None
        return self.cohort.claim

    @property
    def windows(self) -> Windows:
        return Windows(self.tools.pool, self.cohort.id, self.claim)


def view(
    person: dict[str, Any], now: datetime, empty: set[str] | None = None, unsubscribe_url: str | None = None
) -> ContactView:
    """A row of CONTACTS as templates see it at the moment `now`; placeholders that come out empty are added to `empty`.
    Raises `RenderFailed`."""
    return ContactView.read(person["id"], person["properties"], now, empty, unsubscribe_url)
