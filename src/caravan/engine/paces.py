"""How fast channels may send: set while they send, and told with what is used."""

from datetime import UTC, timedelta
from typing import Any

from caravan.channels.providers import OTHER, read_providers
from caravan.channels.relays import DEFAULT
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput
from caravan.store import jobs, paces, relays, routes
from caravan.store.database import Connection
from caravan.store.paces import Limits, Ramp
from caravan.store.routes import Route

_FASTEST, _MOST = 1_000_000.0, 10**12
_LARGEST_FACTOR = 10.0
_SHOWN = 40


async def set_limits(
    engine: Engine,
    connection: Connection,
    customer: int | None,
    channel: str,
    limits: Limits | None,
    *,
    relay: str | None = None,
    provider: str | None = None,
) -> None:
    """Set how fast a channel may send, for a customer or for all together (None); with `relay` or `provider`, what goes
    by it or there. No limits end the pace. It holds within a second, also for what is being sent. Raises
    `InvalidInput`."""
    known = sorted(each.name for each in engine.channels)
    if channel not in known:
        raise InvalidInput(f"There is no channel {channel!r}; there are {', '.join(known)}.")
    if limits is not None:
        check(limits)
    now = engine.clock.now()
    async with connection.transaction():
        if relay is None and provider is None:
            woken = await paces.change(connection, customer, channel, limits, now)
        else:
            route = await _route(engine, connection, customer, channel, relay, provider)
            woken = await routes.change(connection, customer, route, limits, now)
        await jobs.hasten(connection, woken)


async def _route(
    engine: Engine, connection: Connection, customer: int | None, channel: str, relay: str | None, provider: str | None
) -> Route:
    """The part of a channel that has this relay and this provider. Raises `InvalidInput` where there is none."""
    if channel != "email":
        raise InvalidInput(f"{channel} has neither relays nor providers; email has.")
    if provider is not None:
        known = [each.name for each in read_providers(engine.settings.providers)] + [OTHER]
        if provider not in known:
            raise InvalidInput(f"There is no provider {shown(provider)}; there are {', '.join(known)}.")
    if relay is None:
        return Route(channel, None, provider)
    return Route(channel, await relay_key(connection, customer, relay), provider)


async def relay_key(connection: Connection, customer: int | None, name: str) -> str:
    """What a relay that a customer may send by, or one of all (None), is called in paces and breakers. Raises
    `InvalidInput`."""
    if name == DEFAULT:
        return name
    if customer is None:
        found = {each.name: each for each in await relays.all_relays(connection) if each.customer is None}
    else:
        found = await relays.of_customer(connection, customer)
    if name not in found:
        raise InvalidInput(f"There is no relay {shown(name)}; there are {', '.join(sorted([*found, DEFAULT]))}.")
    return found[name].key


def shown(text: str) -> str:
    """A name that somebody gave, as a sentence may have it."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def detail_of(limits: Limits) -> dict[str, Any]:
    """The limits as the audit log tells them, spelled as in the API."""
    found: dict[str, Any] = {"perSecond": limits.per_second, "perDay": limits.per_day}
    if limits.ramp is not None:
        ramp = limits.ramp
        found["ramp"] = {"first": ramp.first, "factor": ramp.factor, "begins": ramp.begins.isoformat()}
    return {name: value for name, value in found.items() if value is not None}


def subject_of(channel: str, relay: str | None = None, provider: str | None = None) -> str:
    """What the audit log says a pace is of."""
    parts = (("channel", channel), ("relay", relay), ("provider", provider))
    return " ".join(f"{what} {name}" for what, name in parts if name is not None)


def check(limits: Limits) -> None:
    """Raise `InvalidInput` unless these limits can be kept."""
    if limits == Limits():
        raise InvalidInput("A pace has a rate a second, a number a day, or a warm-up; this one has none of them.")
    if limits.per_second is not None and not 1 / 86_400 <= limits.per_second <= _FASTEST:
        raise InvalidInput(f"A rate is between one a day and {_FASTEST:,.0f} a second.")
    if limits.per_day is not None and not 1 <= limits.per_day <= _MOST:
        raise InvalidInput("A number a day is at least 1.")
    if limits.ramp is not None:
        _check_ramp(limits.ramp)


def _check_ramp(ramp: Ramp) -> None:
    if not 1 <= ramp.first <= _MOST:
        raise InvalidInput("A warm-up begins with at least 1 a day.")
    if not 1 < ramp.factor <= _LARGEST_FACTOR:
        raise InvalidInput(f"A warm-up grows each day by a factor over 1, up to {_LARGEST_FACTOR:g}.")


def ramp_from_today(engine: Engine, first: int, factor: float, days_ago: int = 0) -> Ramp:
    """A warm-up that begins today, or began so many days ago."""
    return Ramp((engine.clock.now().astimezone(UTC) - timedelta(days=days_ago)).date(), first, factor)
