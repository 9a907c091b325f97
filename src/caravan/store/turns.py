"""Whose turn it is in a queue: start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996) between batches.

A queue has a virtual time, in contacts: the turn of the cohort that it began to serve last, or of one before that which
is still to be served. A batch's cohorts stand behind each other, as many contacts apart as they have; a batch with
nothing in the queue begins at the queue's time. So batches share the rate, each alike, and one that comes anew is next,
however many contacts of others wait.

The turn is the priority of the cohort's job, so PostgreSQL's index finds the next one. A cohort that is due later has
no turn yet: its job comes first once it is due, and then takes its place.
"""

from collections.abc import Sequence
from itertools import accumulate

from caravan.store import sql
from caravan.store.database import Connection, row

_Q = sql.load("caravan.store", "turns.sql")
_UNIT = 100  # contacts; a priority has 32 bits
_LOWEST = -(2**31)
_UNPLACED = 1  # the priority of a job whose cohort has no turn yet; jobs of older versions have 0
_LEAST_COST = 20  # contacts that the smallest cohort counts as: each costs some transactions
_PROGRESS = 32  # at least this part of the contacts served is served to those that have waited longest


def priority_of(turn: int | None) -> int:
    """The priority of a job; the highest is fetched first."""
    return _UNPLACED if turn is None else max(-(turn // _UNIT), _LOWEST)


async def take(connection: Connection, batch: str, queue: str, sizes: Sequence[int]) -> list[int]:
    """The turns of some cohorts of a batch, by their numbers of contacts, in their order."""
    if not sizes:
        return []
    costs = [max(size, _LEAST_COST) for size in sizes]
    found = await row(connection, _Q.take, batch=batch, queue=queue, cost=sum(costs))
    assert found is not None
    return list(accumulate(costs[:-1], initial=int(found["turn"])))


async def set_turn(connection: Connection, cohort: int, turn: int) -> None:
    """Note where a cohort stands."""
    await connection.execute(_Q.set_turn, {"cohort": cohort, "turn": turn})


async def note_served(connection: Connection, queue: str, turn: int, size: int) -> None:
    """A cohort of this turn and size begins to be served."""
    progress = max(size, _LEAST_COST) // _PROGRESS + 1
    values = {"queue": queue, "turn": turn, "progress": progress, "unit": _UNIT}
    await connection.execute(_Q.note_served, values)


async def others_first(connection: Connection, queue: str, turn: int, *, placed: bool = False) -> bool:
    """Whether a job that could run now comes before this turn; `placed`: of those only that have a turn."""
    highest = _UNPLACED - 1 if placed else _UNPLACED
    first = await row(connection, _Q.first_in_line, queue=queue, highest=highest)
    return first is not None and first["priority"] > priority_of(turn)


async def forget(connection: Connection, batch: str) -> None:
    """Let all standing cohorts of a batch take their places anew, as after a pause, in which others have come on."""
    await connection.execute(_Q.forget, {"batch": batch})
