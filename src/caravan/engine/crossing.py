"""Contacts enter another journey by a step, in the transaction of their move: as singles of that journey.

So whoever crosses is in both journeys or still at the step, whatever dies in between, and a journey that does not let
everybody in again refuses them as it refuses a call. Who that will be is found before the move, since a file of the
journal tells it; if the commit finds others, as another way in was quicker, the move is made anew.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa

from caravan.engine.engine import Engine
from caravan.engine.single_entry import enter_singles
from caravan.steps.cohort_files import write_outcomes
from caravan.steps.move import Entering, Move, Tools
from caravan.store import arrivals, journeys
from caravan.store.arrivals import Single
from caravan.store.cohorts import FORGOTTEN, Cohort, read_contacts
from caravan.store.database import Connection
from caravan.store.files import Draft
from caravan.store.journal import Record
from caravan.store.ledger import Outcome

_FORGOTTEN = "nothing is kept of this contact"


class Overtaken(Exception):
    """The journey refuses others than it was expected to."""


async def expected(engine: Engine, tools: Tools, cohort: Cohort, move: Move) -> Move:
    """The same move, with the contacts that enter and what of it the journal will tell. Raises `NotFound` if the other
    journey is not published."""
    assert move.entering is not None
    contacts = await asyncio.to_thread(_read, tools, cohort)
    singles = {
        place: Single(cohort.customer, move.entering.journey, id, properties)
        for place, (id, properties) in enumerate(
            zip(contacts["id"].to_pylist(), contacts["properties"].to_pylist(), strict=True)
        )
        if id != FORGOTTEN
    }
    refused = await _trial(engine, cohort.customer, move.entering.journey, singles)
    moved = replace(move, entering=replace(move.entering, singles=singles, refused=frozenset(refused)))
    if not refused and len(singles) == contacts.num_rows:
        return moved
    outcomes = [_outcome(place, singles, refused) for place in range(contacts.num_rows)]
    record = await asyncio.to_thread(_told, tools, cohort, contacts, outcomes)
    return replace(moved, outcomes=Counter(outcome for outcome, _ in outcomes), records=[record])


def _read(tools: Tools, cohort: Cohort) -> pa.Table:
    with tools.files.local(cohort.part.file) as path:
        return read_contacts(path)


async def _trial(engine: Engine, customer: int, journey: int, singles: Mapping[int, Single]) -> dict[int, str]:
    """Whom the journey would refuse now, and why."""
    async with engine.pool.connection() as connection:
        newest = await journeys.latest(connection, customer, journey)
        if "reentry" not in newest.definition:
            return {}
        async with connection.transaction(force_rollback=True):
            _, refused = await enter_singles(engine, connection, singles)
            return {place: error.message for place, error in refused.items()}


def _outcome(place: int, singles: Mapping[int, Single], refused: Mapping[int, str]) -> tuple[Outcome, str | None]:
    if place not in singles:
        return Outcome.FORGOTTEN, _FORGOTTEN
    return (Outcome.REFUSED, refused[place]) if place in refused else (Outcome.PASSED, None)


def _told(tools: Tools, cohort: Cohort, contacts: pa.Table, outcomes: list[tuple[Outcome, str | None]]) -> Record:
    with Draft(tools.files) as draft:
        kinds = pa.array([outcome.value for outcome, _ in outcomes], pa.string())
        details = pa.array([detail for _, detail in outcomes], pa.string())
        return write_outcomes(tools, draft, cohort, contacts, kinds, details)


async def lock_other(engine: Engine, connection: Connection, cohort: Cohort, entering: Entering) -> None:
    """Begin a move: have a batch that takes the singles, and lock it before that of the cohort if it comes before, as
    every transaction locks several."""
    place = (cohort.customer, entering.journey)
    await arrivals.share_before(connection, place, cohort.batch, engine.clock.now())


async def enter(engine: Engine, connection: Connection, entering: Entering) -> None:
    """The contacts enter with the caller's commit. Raises `Overtaken`."""
    _, refused = await enter_singles(engine, connection, entering.singles)
    if frozenset(refused) != entering.refused:
        raise Overtaken
