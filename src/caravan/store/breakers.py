"""Breakers: what keeps senders from a relay, or from one provider by it, while it takes nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, rows

_Q = sql.load("caravan.store", "breakers.sql")


class State(StrEnum):
    """Whether a breaker lets through."""

    CLOSED = "closed"  # everything
    OPEN = "open"  # nothing, until it is to be tried again
    HALF_OPEN = "half_open"  # of one sender, over a few connections


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of a relay, or of a provider by that relay."""

    channel: str
    relay: str
    provider: str  # "" for the relay as a whole
    changed_at: datetime
    state: State = State.CLOSED
    reason: str | None = None
    probe_at: datetime | None = None  # when an open one is tried
    tries: int = 0  # that failed since it opened
    connections: int = 0  # of a half-open one
    failures: int = 0  # windows in a row in which nobody was reached
    hits: Mapping[str, tuple[float, int]] = field(default_factory=dict)  # {rule: (since, replies)}
    holder: str | None = None  # who may send by a half-open one
    held_until: datetime | None = None

    @property
    def name(self) -> str:
        """What it is the breaker of, in words."""
        relay = "the mail relay" if self.relay == "default" else f"relay {self.relay}"
        return f"{self.provider} by {relay}" if self.provider else relay


async def notable(connection: Connection) -> list[Breaker]:
    """Those that are not closed, or may soon not be."""
    return [_breaker(each) for each in await rows(connection, _Q.notable)]


async def unclosed(connection: Connection, channel: str | None = None) -> list[Breaker]:
    """Those that are not closed."""
    return [_breaker(each) for each in await rows(connection, _Q.list, channel=channel)]


async def lock(connection: Connection, channel: str, relay: str, providers: Sequence[str]) -> list[Breaker]:
    """Those that there are for these providers ("" for the relay as a whole), until the transaction ends."""
    found = await rows(connection, _Q.lock, channel=channel, relay=relay, providers=list(providers))
    return [_breaker(each) for each in found]


async def put(connection: Connection, breaker: Breaker) -> None:
    """Keep a breaker as it is now."""
    values = asdict(breaker)
    hits = json.dumps({name: list(each) for name, each in breaker.hits.items()})
    await connection.execute(_Q.put, {**values, "state": str(breaker.state), "hits": hits})


def _breaker(found: DictRow) -> Breaker:
    hits = {name: (float(since), int(count)) for name, (since, count) in found["hits"].items()}
    return Breaker(**{**found, "state": State(found["state"]), "hits": hits})
