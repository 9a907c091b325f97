"""What the calls about channels answer."""

from datetime import date
from typing import Literal

from pydantic import Field

from caravan.api.answers import Answer


class RampAnswer(Answer):
    """A warm-up: so many on its first day, and each day `factor` times those of the day before."""

    begins: date
    first: int
    factor: float


class PaceAnswer(Answer):
    """How fast a channel may send, and what is used of it today (in UTC)."""

    all_customers: bool = Field(description="Of the whole installation; else of this customer.")
    per_second: float | None
    per_day: int | None
    ramp: RampAnswer | None
    sent_today: int
    most_today: int | None


class RouteAnswer(PaceAnswer):
    """The pace of what goes by a relay, or to a provider, or both."""

    relay: str | None
    provider: str | None
    kind: str = Field(
        description="set (by call, command or console), rules (the operator's file) or slow (by replies)."
    )
    connections: int | None = Field(description="That carry its mails at one time.")
    until: str | None = Field(description="When it ends by itself.")
    reason: str | None
    standing: int | None = Field(description="Contacts that stand for the provider.")


class BreakerAnswer(Answer):
    """What keeps mails from a relay, or from one provider by it."""

    relay: str
    provider: str | None
    state: str = Field(description="open (nothing goes out) or half_open (it is tried with a few connections).")
    reason: str | None
    since: str
    tried_at: str | None = Field(description="When an open one is tried.")
    connections: int


class RelayAnswer(Answer):
    """A named relay."""

    name: str
    all_customers: bool
    weight: int = Field(description="Its part of what names no relay.")
    fallback: str | None = Field(description="The relay that stands in for it.")


class CapAnswer(Answer):
    """How many messages a recipient gets in any period of that length, and what becomes of those over it."""

    most: int
    period: str
    otherwise: Literal["skip", "wait"]


class ChannelAnswer(Answer):
    """A channel with its paces; none if it sends as fast as it can."""

    channel: str
    paces: list[PaceAnswer]
    cap: CapAnswer | None
    standing: int = Field(description="Contacts that stand for a pace or a breaker.")
    routes: list[RouteAnswer] = Field(description="Paces by relay and by mailbox provider.")
    breakers: list[BreakerAnswer] = Field(description="Those that are not closed.")
    relays: list[RelayAnswer] = Field(description="Named relays, beside that of CARAVAN_SMTP_URL.")
