"""Taking events in: all that reports what contacts did, the API and the channels, comes through `take`."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from caravan.events.event import Event
from caravan.events.happening import write_group
from caravan.store import events as stored
from caravan.store import listening
from caravan.store.database import Connection
from caravan.store.events import NewEvent

_GROUP = 1_000  # events that are kept together until they are matched


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of events: those that were there before, by source and key, are ignored."""

    taken: int
    duplicates: int


async def take(connection: Connection, customer: int, events: Sequence[Event]) -> Taken:
    """Take events of a customer's contacts, in the caller's transaction: they are durable with its commit.

    Where an event answers a delivery, it is counted for the batch and step of that.
    """
    fresh = sum(await take_each(connection, customer, events))
    return Taken(fresh, len(events) - fresh)


async def take_each(connection: Connection, customer: int, events: Sequence[Event]) -> list[bool]:
    """The same; whether each of them is new."""
    new = await _are_new(connection, customer, events)
    fresh = [event for event, is_new in zip(events, new, strict=True) if is_new]
    if fresh:
        await stored.add(connection, customer, [_row(each) for each in fresh])
        await _count(connection, fresh)
        await _announce(connection, customer, fresh)
    return new


async def _are_new(connection: Connection, customer: int, events: Sequence[Event]) -> list[bool]:
    """Whether the source and key of each came for the first time, also within these; those without a key are new."""
    digests = [None if each.key is None else _digest(each.source, each.key) for each in events]
    wanted = {digest for digest in digests if digest is not None}
    fresh: set[UUID | None] = set()
    if wanted:
        fresh |= await stored.add_keys(connection, customer, wanted)
    new = []
    for digest in digests:
        new.append(digest is None or digest in fresh)
        fresh -= {digest}  # what follows with the same one is a duplicate of this
    return new


def _digest(source: str, key: str) -> UUID:
    return UUID(bytes=sha256(f"{source}\0{key}".encode("utf-8", "surrogatepass")).digest()[:16])


def _row(event: Event) -> NewEvent:
    origin = event.origin
    return NewEvent(
        contact=event.contact,
        name=event.name,
        at=event.at,
        properties=json.dumps(dict(event.properties), ensure_ascii=False, separators=(",", ":")),
        source=event.source,
        key=event.key,
        batch=None if origin is None else origin.batch,
        step=None if origin is None else origin.step,
        visit=None if origin is None else origin.visit,
        line=None if origin is None else origin.line,
    )


async def _count(connection: Connection, events: Sequence[Event]) -> None:
    came_back = Counter((each.origin.batch, each.origin.step, each.name) for each in events if each.origin is not None)
    if came_back:
        await stored.count(connection, came_back)


async def _announce(connection: Connection, customer: int, events: Sequence[Event]) -> None:
    """Have the events that standing contacts listen for matched. The last thing that is done, since what it locks makes
    the matching wait for the caller's commit."""
    heard = await listening.heard(connection, customer)
    wanted = [each for each in events if each.name in heard.events]
    for first in range(0, len(wanted), _GROUP):
        await listening.add_unmatched(connection, customer, write_group(wanted[first : first + _GROUP]))
    if wanted and not heard.queued:
        await listening.defer_match(connection, customer)
