"""By which relay a cohort's mails go: the one that its step names, else one of those that have a weight, else the
default one; while it is stopped, the one that stands in for it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from caravan.channels.relays import DEFAULT
from caravan.errors import InvalidSetting
from caravan.store.relays import NamedRelay

RELAY_NAME: Final = r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$"

Stopped = Callable[[str], Awaitable[bool]]  # whether a relay, by its key, is to be left alone now


async def choose(relays: Mapping[str, NamedRelay], wanted: str | None, lot: int, stopped: Stopped) -> NamedRelay | None:
    """The relay; None for the default one. `lot` decides between those with weights. Raises `InvalidSetting` for a name
    that is none."""
    candidates = list(_candidates(relays, wanted, lot))
    for each in candidates:
        if not await stopped(key_of(each)):
            return each
    return candidates[0]


def key_of(relay: NamedRelay | None) -> str:
    """What a relay is called in paces and breakers."""
    return DEFAULT if relay is None else relay.key


def _candidates(relays: Mapping[str, NamedRelay], wanted: str | None, lot: int) -> Iterator[NamedRelay | None]:
    """The relay that should be taken, then those that stand in for it, in their order."""
    if wanted is not None:
        yield from _chain(relays, wanted)
        return
    weighted = sorted((each for each in relays.values() if each.weight), key=lambda each: each.name)
    if not weighted:
        yield None
        return
    first = _by_weight(weighted, lot)
    yield from _chain(relays, first.name)
    yield from (each for each in weighted if each is not first)


def _chain(relays: Mapping[str, NamedRelay], name: str | None) -> Iterator[NamedRelay | None]:
    seen = set[str]()
    while name is not None and name not in seen:
        seen.add(name)
        if name == DEFAULT:
            yield None
            return
        if name not in relays:
            known = ", ".join(sorted([*relays, DEFAULT]))
            raise InvalidSetting(f"There is no relay '{name}' for this customer; there are {known}.")
        yield relays[name]
        name = relays[name].fallback


def _by_weight(weighted: list[NamedRelay], lot: int) -> NamedRelay:
    place = lot % sum(each.weight for each in weighted)
    for each in weighted:
        place -= each.weight
        if place < 0:
            return each
    return weighted[-1]
