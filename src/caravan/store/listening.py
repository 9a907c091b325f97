"""Cohorts that listen for events: what for, who has left them, and the events that are still to be matched.

Whoever takes events and the job that matches them must not miss each other. So who takes events shares a lock of the
customer until its commit, and the job, which waits for that lock once at its beginning, sees all events whose taker saw
that it was still in the queue, or that nobody listened yet.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import UniqueViolation

from caravan.store import sql
from caravan.store.database import Connection, row, rows
from caravan.store.queues import Queue, Task

_Q = sql.load("caravan.store", "listening.sql")
_CLASS = 0x0CA2A7A2  # of the locks of customers
_PRIORITY = 1  # before all cohorts that wait for their turn
DELAY = 0.3  # seconds for which events are gathered before they are matched


@dataclass(frozen=True, slots=True)
class Heard:
    """What is listened for just now, and whether a job that matches it waits."""

    events: frozenset[str]
    queued: bool


@dataclass(frozen=True, slots=True)
class Listener:
    """A cohort that stands and listens."""

    id: int
    file: str
    step: str
    visit: int
    due_at: datetime
    entered_at: datetime | None
    batch: str
    events: frozenset[str]
    since: datetime
    exits: frozenset[str]  # with which its contacts leave the journey
    exits_since: datetime | None
    look: bool
    journey: int
    version: int
    paused: bool


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event that is kept, as it is matched."""

    id: int
    contact: str
    name: str
    at: datetime
    properties: str
    batch: str | None = None  # of the delivery that it answers
    step: str | None = None
    visit: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Locked:
    """A cohort that still stands, locked until the end of the transaction."""

    id: int
    size: int
    claimed: bool
    due_at: datetime
    turn: int | None


@dataclass(frozen=True, slots=True)
class Listening:
    """What a cohort listens for: events that its step waits for, and those with which contacts leave the journey, each
    from when on."""

    events: Collection[str]
    since: datetime
    exits: Collection[str]
    exits_since: datetime


async def listen(connection: Connection, cohort: int, customer: int, batch: str, to: Listening) -> None:
    """A cohort that has just been opened listens; the events that are kept are to be looked through for it."""
    values = {"events": sorted(to.events), "since": to.since, "exits": sorted(to.exits), "exits_since": to.exits_since}
    await connection.execute(_Q.listen, {"cohort": cohort, "customer": customer, "batch": batch, **values})
    await defer_match(connection, customer)


async def heard(connection: Connection, customer: int) -> Heard:
    """What is listened for, as of a moment that no job which matches overlooks."""
    await share(connection, customer)
    found = await row(connection, _Q.listened, customer=customer, lock=_lock(customer))
    assert found is not None
    return Heard(frozenset(found["events"] or ()), found["queued"])


async def share(connection: Connection, customer: int) -> None:
    """Be one of those who take events, until the commit."""
    await connection.execute(_Q.share, {"class": _CLASS, "customer": _key(customer)})


async def wait_for_takers(connection: Connection, customer: int) -> None:
    """Wait for those who take events of this customer just now; in a transaction of its own."""
    await connection.execute(_Q.exclude, {"class": _CLASS, "customer": _key(customer)})


def _key(customer: int) -> int:
    return (customer + 2**31) % 2**32 - 2**31


def _lock(customer: int) -> str:
    return f"match:{customer}"


async def add_unmatched(connection: Connection, customer: int, events: str) -> None:
    """Keep events, a JSON array, until they are matched."""
    await connection.execute(_Q.add_unmatched, {"customer": customer, "events": events})


async def defer_match(connection: Connection, customer: int, delay: float = DELAY) -> None:
    """Have a customer's events matched soon, with the caller's commit. Here and not in queue/, since whatever takes
    events must do it."""
    values = {"queue": Queue.ADVANCE, "task": Task.MATCH, "priority": _PRIORITY, "lock": _lock(customer)}
    with suppress(UniqueViolation):  # one that waits is as good
        async with connection.transaction():
            await connection.execute(_Q.defer_match, {"customer": customer, "delay": delay, **values})


async def unmatched(connection: Connection, customer: int, limit: int) -> list[tuple[int, str]]:
    """The oldest groups of events that are to be matched: (number, JSON array)."""
    found = await rows(connection, _Q.unmatched, customer=customer, limit=limit)
    return [(each["id"], each["events"]) for each in found]


async def any_unmatched(connection: Connection, customer: int) -> bool:
    """Whether any events are still to be matched."""
    found = await row(connection, _Q.any_unmatched, customer=customer)
    return bool(found and found["there"])


async def delete_unmatched(connection: Connection, groups: Sequence[int]) -> None:
    """These groups have been matched."""
    await connection.execute(_Q.delete_unmatched, {"ids": list(groups)})


async def listeners(connection: Connection, customer: int) -> list[Listener]:
    """A customer's cohorts that stand and listen."""
    found = await rows(connection, _Q.listeners, customer=customer)
    sets = ({"events": frozenset(each["events"]), "exits": frozenset(each["exits"])} for each in found)
    return [Listener(**{**each, **own}) for each, own in zip(found, sets, strict=True)]


async def kept(
    connection: Connection,
    customer: int,
    names: Collection[str],
    since: datetime,
    after: KeptEvent | None,
    limit: int,
) -> list[KeptEvent]:
    """Events of these names that are kept, in the order in which they happened, from behind `after` on."""
    place = {"after_at": after and after.at, "after_id": after and after.id}
    found = await rows(connection, _Q.kept, customer=customer, names=sorted(names), since=since, limit=limit, **place)
    return [KeptEvent(**each) for each in found]


async def set_looked(connection: Connection, cohorts: Collection[int]) -> None:
    """The events that are kept have been looked through for these cohorts."""
    await connection.execute(_Q.looked, {"cohorts": list(cohorts)})


async def look_again(connection: Connection, cohorts: Collection[int]) -> None:
    """The events that are kept are to be looked through once more for these cohorts, once they may move."""
    await connection.execute(_Q.look_again, {"cohorts": list(cohorts)})


async def any_looking(connection: Connection, batch: str) -> bool:
    """Whether there are events to be looked through for cohorts of a batch."""
    found = await row(connection, _Q.any_looking, batch=batch)
    return bool(found and found["there"])


async def is_unsettled(connection: Connection, cohort: int, due: datetime) -> bool:
    """Whether events that were taken before the cohort fell due may still have to be matched with it."""
    found = await row(connection, _Q.unsettled, cohort=cohort, due=due)
    return bool(found and found["there"])


async def departed_among(connection: Connection, places: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Which of these contacts, (cohort, place), have left."""
    cohorts, rows_ = [cohort for cohort, _ in places], [place for _, place in places]
    found = await rows(connection, _Q.departed_among, cohorts=cohorts, places=rows_)
    return {(each["cohort_id"], each["place"]) for each in found}


async def departed(connection: Connection, cohort: int) -> list[int]:
    """The places of those who have left a cohort, in order."""
    return [each["place"] for each in await rows(connection, _Q.departed, cohort=cohort)]


async def departed_of_batch(connection: Connection, batch: str) -> dict[int, set[int]]:
    """Who has left the cohorts of a batch that still stand: {cohort: places}."""
    gone: dict[int, set[int]] = {}
    for each in await rows(connection, _Q.departed_of_batch, batch=batch):
        gone.setdefault(each["cohort_id"], set()).add(each["place"])
    return gone


async def lock_cohorts(connection: Connection, cohorts: Collection[int]) -> dict[int, Locked]:
    """Those of the cohorts that still stand, locked. The caller has their batch locked."""
    return {each["id"]: Locked(**each) for each in await rows(connection, _Q.lock_cohorts, cohorts=list(cohorts))}


async def depart(connection: Connection, places: Collection[tuple[int, int]]) -> bool:
    """Contacts, (cohort, place), leave their cohorts; False if any of them had left before."""
    cohorts, rows_ = [cohort for cohort, _ in places], [place for _, place in places]
    done = await connection.execute(_Q.depart, {"cohorts": cohorts, "places": rows_})
    return done.rowcount == len(places)


async def shrink(connection: Connection, locked: Collection[Locked], gone: dict[int, int], now: datetime) -> None:
    """Locked cohorts stand without as many contacts as left them, {cohort: contacts}; one that is empty is closed."""
    await connection.execute(_Q.shrink, {"cohorts": list(gone), "gone": list(gone.values())})
    emptied = [each.id for each in locked if each.size == gone[each.id]]
    if emptied:
        await connection.execute(_Q.close_emptied, {"cohorts": emptied, "now": now})
        await forget(connection, emptied)


async def forget(connection: Connection, cohorts: Collection[int]) -> None:
    """Forget who left these cohorts, which are closed, and what they listened for."""
    await connection.execute(_Q.forget, {"cohorts": list(cohorts)})


async def tidy(connection: Connection) -> None:
    """The same for all that are closed, and events that nobody listens for."""
    await connection.execute(_Q.forget_closed)
    await connection.execute(_Q.forget_unheard)


async def waiting_customers(connection: Connection) -> list[int]:
    """The customers with something to be matched."""
    return [each["customer"] for each in await rows(connection, _Q.waiting_customers)]


async def standing_files(connection: Connection) -> set[str]:
    """The files of all cohorts that listen."""
    return {str(each["file"]) for each in await rows(connection, _Q.standing_files)}
