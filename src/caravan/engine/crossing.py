"""Contacts enter another journey by a step, in the transaction of their move, by the cohort.

They get a file in the batch of that journey which takes those who cross, with lines of that batch, and stand at its
first step once the move is committed: so whoever crosses is in both journeys or still at the step, whatever dies in
between. A journey that does not let everybody in again is asked in that transaction, too. Whom it refuses is only known
then, and a file of the journal has to tell it: so the move is made anew, without those.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa

from caravan.engine.engine import Engine
from caravan.engine.single_reentry import refusals
from caravan.steps.cohort_files import scratch_file, write_outcomes
from caravan.steps.move import Entering, Move, Tools
from caravan.store import batches, crossings
from caravan.store.arrivals import Single
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import FORGOTTEN, Cohort, Part, read_contacts, with_lines, write_contacts
from caravan.store.crossings import Target
from caravan.store.database import Connection
from caravan.store.files import Draft
from caravan.store.ledger import Outcome

_FORGOTTEN = "nothing is kept of this contact"
_UNUSED = timedelta(hours=1)
Refusals = Mapping[int, str]  # why contacts may not enter, by their places in the cohort's file


class Overtaken(Exception):
    """The batch takes nobody any more, or the journey refuses some of the contacts."""

    def __init__(self, refused: Refusals | None = None) -> None:
        self.refused = refused or {}
        super().__init__()


async def prepared(engine: Engine, tools: Tools, cohort: Cohort, move: Move, refused: Refusals) -> Move:
    """The same move, with the file of those that enter, but for the refused ones, and what the journal will tell.
    Raises `NotFound` if the other journey is not published."""
    assert move.entering is not None
    contacts = await asyncio.to_thread(_read, tools, cohort)
    forgotten = {place for place, id in enumerate(contacts["id"].to_pylist()) if id == FORGOTTEN}
    count = contacts.num_rows - len(forgotten | set(refused))
    async with engine.pool.connection() as connection:
        target = await crossings.find(connection, (cohort.customer, move.entering.journey), engine.clock.now())
        first = await crossings.number(connection, target.batch, count)
    told = {place: (Outcome.REFUSED, reason) for place, reason in refused.items()}
    told |= dict.fromkeys(forgotten, (Outcome.FORGOTTEN, _FORGOTTEN))
    return await asyncio.to_thread(_written, tools, cohort, move, contacts, told, target, first)


def _read(tools: Tools, cohort: Cohort) -> pa.Table:
    with tools.files.local(cohort.part.file) as path:
        return read_contacts(path)


def _written(
    tools: Tools,
    cohort: Cohort,
    move: Move,
    contacts: pa.Table,
    told: Mapping[int, tuple[Outcome, str]],
    target: Target,
    first: int,
) -> Move:
    """The move, with the files that it needs in the store. Blocks."""
    assert move.entering is not None
    places = np.array([place for place in range(contacts.num_rows) if place not in told], np.int64)
    with Draft(tools.files) as draft:
        part = _part(tools, draft, target, contacts.take(places), first) if len(places) else None
        entering = replace(move.entering, target=target, part=part)
        if target.guarded:
            ids = contacts["id"].take(places).to_pylist()
            singles = {int(place): Single(*target.place, id, "") for place, id in zip(places, ids, strict=True)}
            entering = replace(entering, singles=singles)
        if not told:
            return replace(move, entering=entering)
        passed = (Outcome.PASSED, None)
        outcomes = [told.get(place, passed)[0] for place in range(contacts.num_rows)]
        details = pa.array([told.get(place, passed)[1] for place in range(contacts.num_rows)], pa.string())
        kinds = pa.array([str(each) for each in outcomes], pa.string())
        record = write_outcomes(tools, draft, cohort, contacts, kinds, details)
    return replace(move, entering=entering, outcomes=Counter(outcomes), records=[record])


def _part(tools: Tools, draft: Draft, target: Target, contacts: pa.Table, first: int) -> Part:
    """The contacts in a file of the other batch, with lines of it from `first` on."""
    last = first + contacts.num_rows - 1
    name = with_lines(f"batches/{target.batch}/crossing-{secrets.token_hex(4)}.parquet", first, last)
    with scratch_file(tools.scratch) as local:
        write_contacts(contacts.set_column(0, "line", pa.array(np.arange(first, last + 1))), local)
        draft.put(local, name)
    return Part(name, contacts.num_rows)


async def end_unused(engine: Engine) -> None:
    """End batches that nobody has entered for long, since those for whom they were opened were recalled, or went on."""
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        for each in await crossings.unused(connection, now - _UNUSED):
            async with connection.transaction():
                batch = await batches.lock(connection, each)
                if batch.state == BatchState.RUNNING and batch.entered == 0:
                    await batches.end(connection, each, BatchState.COMPLETED, now)


async def discard(engine: Engine, move: Move) -> None:
    """Delete the file of a move that was overtaken."""
    if move.entering is not None and move.entering.part is not None:
        await asyncio.to_thread(engine.files.delete, move.entering.part.file)


async def begin(connection: Connection, cohort: Cohort, entering: Entering) -> None:
    """Before the cohort's batch is locked: lock the other one if it comes before in the order of ids, in which every
    transaction locks several."""
    if entering.target is not None and entering.target.batch < cohort.batch:
        await batches.lock(connection, entering.target.batch)


async def admitted(engine: Engine, connection: Connection, entering: Entering) -> Batch:
    """The other batch, locked, which takes the contacts with the caller's commit. Raises `Overtaken`."""
    target = entering.target
    assert target is not None
    batch = await batches.lock(connection, target.batch)
    if batch.state != BatchState.RUNNING:
        raise Overtaken
    if entering.singles:
        refused = await refusals(engine, connection, target.place, target.batch, target.version, entering.singles)
        if refused:
            raise Overtaken({place: error.message for place, error in refused.items()})
    return batch
