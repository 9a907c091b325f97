"""The channels, and how fast each may send."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from caravan.channels.relays import DEFAULT
from caravan.delivery.cap import period_words
from caravan.delivery.channel_type import ChannelType
from caravan.delivery.pace import most_on
from caravan.engine.engine import Engine
from caravan.store import breakers, caps, paces, relays, routes
from caravan.store.breakers import Breaker
from caravan.store.caps import Cap
from caravan.store.database import Connection
from caravan.store.paces import Pace
from caravan.store.relays import NamedRelay


@dataclass(frozen=True, slots=True)
class ChannelPace:
    """One pace of a channel, with what is used of it today."""

    pace: Pace
    sent_today: int
    most_today: int | None


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """A channel with the paces that bind it; none if it sends as fast as it can."""

    channel: str
    paces: list[ChannelPace]
    standing: int  # contacts that stand for its pace, of this customer or of all
    routes: list[ChannelPace] = field(default_factory=list)  # paces by relay and provider
    standing_of: Mapping[str, int] = field(default_factory=dict)  # those of them who go to a provider
    breakers: list[Breaker] = field(default_factory=list)  # that are not closed
    relays: list[NamedRelay] = field(default_factory=list)
    may_cap: bool = False  # whether it has recipients whom a cap can guard
    cap: Cap | None = None  # how much a recipient of this customer gets

    @property
    def cap_period(self) -> str:
        """The period of its cap in words."""
        return "" if self.cap is None else period_words(self.cap.period)


async def channel_reports(engine: Engine, connection: Connection, customer: int | None) -> list[ChannelReport]:
    """Each channel, with the paces that bind this customer; all paces for None."""
    found = await (paces.all_paces(connection) if customer is None else paces.of_customer(connection, customer))
    found += await routes.of_customer(connection, customer)
    today = (await paces.moment(connection)).date()
    told = [ChannelPace(pace, pace.sent if pace.day == today else 0, most_on(pace.limits, today)) for pace in found]
    known = await relays.all_relays(connection, customer)
    keys = {each.key for each in known} | {DEFAULT}
    stopped = [each for each in await breakers.unclosed(connection) if each.relay in keys]
    capped = {} if customer is None else await caps.of_customer(connection, customer)
    return [
        replace(await _report(connection, each, customer, told, stopped, known), cap=capped.get(each.name))
        for each in engine.channels
    ]


async def _report(
    connection: Connection,
    channel: ChannelType[Any],
    customer: int | None,
    found: list[ChannelPace],
    stopped: list[Breaker],
    known: list[NamedRelay],
) -> ChannelReport:
    name = channel.name
    of_channel = [each for each in found if each.pace.channel == name]
    return ChannelReport(
        channel=name,
        paces=[each for each in of_channel if not each.pace.is_of_route],
        standing=await paces.backlog(connection, name, customer),
        routes=[each for each in of_channel if each.pace.is_of_route],
        standing_of={who: count for who, count in (await routes.backlog(connection, name, customer)).items() if who},
        breakers=[each for each in stopped if each.channel == name],
        relays=known if name == "email" else [],
        may_cap=channel.step.reaches_people,
    )
