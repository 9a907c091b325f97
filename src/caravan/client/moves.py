"""Calls about those who wait in older versions of a journey."""

from dataclasses import dataclass, field
from typing import Any, Self

from caravan.client.transport import Transport


@dataclass(frozen=True, slots=True)
class StandingContacts:
    """Contacts that stand at a step in an older version. `why` they do not move, if they don't; `changed`: the step is
    another one in the newer version."""

    version: int
    step: str
    contacts: int
    moves: bool
    changed: bool
    why: str | None


@dataclass(frozen=True, slots=True)
class Moves:
    """Who would move, or moves, into a version of a journey."""

    journey: int
    version: int
    steps: tuple[StandingContacts, ...]
    raw: dict[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Self:
        """What the API answered."""
        steps = (StandingContacts(**each) for each in raw["steps"])
        return cls(raw["journey"], raw["version"], tuple(steps), raw)

    @property
    def contacts(self) -> int:
        """How many of them move."""
        return sum(each.contacts for each in self.steps if each.moves)


class MoveCalls:
    """The part of `Client` that is about those who wait."""

    _transport: Transport

    def waiting(self, journey: int, definition: str | None = None, *, reschedule: bool = False) -> Moves:
        """Who stands at which step in older versions of a journey, and who would move into the newest one; or into a
        definition (YAML or JSON) that is not published yet."""
        path, query = f"journeys/{journey}/waiting", {"reschedule": "true" if reschedule else "false"}
        if definition is None:
            return Moves.of(self._transport.call("GET", path, params=query))
        return Moves.of(self._transport.call("POST", path, params=query, content=definition.encode()))

    def move_waiting(self, journey: int, *, reschedule: bool = False, key: str | None = None) -> Moves:
        """Move those who wait in older versions of a journey into the newest one, which takes some seconds. With
        `reschedule` they wait as that one says, from when they came to the step; else as before."""
        body = {"reschedule": reschedule}
        return Moves.of(self._transport.call("POST", f"journeys/{journey}/move-waiting", key, json=body))
