"""Those who wait in older versions of a journey move into the newest one, where they go on at the same step.

A batch keeps its version: its journal, its ledger and the keys of what it has sent mean the steps of that one. So who
moves leaves the batch as `moved`, and enters one of the newest version at the step, by the cohort, each in a
transaction. Only those move who stand at a wait, and whose wait is the same kind of step in the newest version; all
others go on as they were, and `looked` says why.
"""

import asyncio
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from caravan.engine.advance import finish_if_empty, open_cohorts
from caravan.engine.engine import Engine
from caravan.engine.openings import hears, step_of
from caravan.errors import NotFound
from caravan.journeys.model import Journey
from caravan.steps.cohort_files import scratch_file
from caravan.steps.moment_file import REASON
from caravan.steps.step import CohortStep
from caravan.steps.wait import Wait
from caravan.store import arrivals, batches, cohorts, journal, journeys, ledger, listening, moving
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import CONTACTS, FORGOTTEN, Cohort, Opening, Part, line_range, with_lines
from caravan.store.database import Connection
from caravan.store.files import Draft
from caravan.store.journal import Record
from caravan.store.ledger import Outcome

_LOOKS: Final = 20  # at those who wait, after which others that are changing all the time stay where they are
_TOKEN: Final = "moving"  # of a claim that is closed in the same transaction


@dataclass(frozen=True, slots=True)
class Waiting:
    """Contacts that stand at a step in an older version. `why` they do not move; `changed`: the wait is another one in
    the newest version, which they keep as it was unless it is rescheduled."""

    version: int
    step: str
    contacts: int
    changed: bool
    why: str | None

    @property
    def moves(self) -> bool:
        return self.why is None


async def looked(
    engine: Engine, connection: Connection, customer: int, journey: Journey, version: int, *, reschedule: bool
) -> list[Waiting]:
    """Who stands where in versions before this one, and whether they would move into it, by version and step."""
    found: dict[tuple[int, str, str | None], Waiting] = {}
    for batch, old, cohort in await _standing(engine, connection, customer, journey.journey, version):
        assert batch.version is not None
        why = _hindrance(old, journey, version, cohort, engine.clock.now(), reschedule=reschedule)
        changed = why is None and _changed(step_of(old, cohort.step), step_of(journey, cohort.step))
        key = (batch.version, cohort.step, why)
        before = found.get(key) or Waiting(batch.version, cohort.step, 0, changed, why)
        found[key] = replace(before, contacts=before.contacts + cohort.part.size)
    return sorted(found.values(), key=lambda each: (-each.version, each.step, each.why or ""))


async def _standing(
    engine: Engine, connection: Connection, customer: int, journey: int, version: int
) -> list[tuple[Batch, Journey, Cohort]]:
    found = []
    for id in await moving.older(connection, customer, journey, version):
        batch = await batches.get(connection, id)
        assert batch.version is not None
        old = await engine.journeys.get(connection, customer, journey, batch.version)
        for number in await moving.open_cohorts(connection, id):
            cohort = await cohorts.get(connection, number)
            if cohort is not None and not cohort.closed:
                found.append((batch, old, cohort))
    return found


def _hindrance(
    old: Journey, new: Journey, version: int, cohort: Cohort, now: datetime, *, reschedule: bool
) -> str | None:
    """Why a cohort does not move; None if it does."""
    here = step_of(old, cohort.step)
    if cohort.asked:
        return "they were asked something, and the answer comes to the version that asked"
    if here.sends or not here.waits:
        return "they do not wait: a message is on its way to them, or they are just going on"
    if cohort.stuck:
        return "they are stuck, until a retry"
    if cohort.checks or cohort.claim is not None or cohort.due_at <= now:
        return "they are just going on"
    try:
        there = step_of(new, cohort.step)
    except NotFound:
        return f"version {version} has no such step"
    if there.kind != here.kind:
        return f"in version {version} it is a {there.kind}"
    if isinstance(here, Wait) and isinstance(there, Wait) and here.wait.plain != there.wait.plain and not reschedule:
        return "they wait until a moment of another kind; they move if they are rescheduled"
    return None


def _changed(old: CohortStep, new: CohortStep) -> bool:
    return {**old.as_dict(), "next": None} != {**new.as_dict(), "next": None}


async def request(
    engine: Engine, connection: Connection, customer: int, journey: int, *, reschedule: bool
) -> tuple[int, list[Waiting]]:
    """Have those moved who wait in older versions of a journey, with the caller's commit: the newest version, and who
    moves as of now. Raises `NotFound` for a journey that is not published."""
    newest = await journeys.latest(connection, customer, journey)
    definition = await engine.journeys.get(connection, customer, journey, newest.version)
    found = await looked(engine, connection, customer, definition, newest.version, reschedule=reschedule)
    if any(each.moves for each in found):
        await engine.jobs.move_waiting(connection, customer, journey, newest.version, reschedule=reschedule)
    return newest.version, found


async def move_waiting(engine: Engine, customer: int, journey: int, version: int, *, reschedule: bool) -> None:
    """Move all that can move. Cohorts that somebody leaves by an event in that moment are moved by the next look. It
    can end anywhere and be repeated."""
    for _ in range(_LOOKS):
        async with engine.pool.connection() as connection:
            new = await engine.journeys.get(connection, customer, journey, version)
            found = await _standing(engine, connection, customer, journey, version)
        overtaken = 0
        for batch, old, cohort in found:
            if _hindrance(old, new, version, cohort, engine.clock.now(), reschedule=reschedule) is None:
                overtaken += not await _Mover(engine, old, new, version, reschedule).move(batch, cohort)
        if not overtaken:
            return


@dataclass(frozen=True, slots=True)
class _Mover:
    engine: Engine
    old: Journey
    new: Journey
    version: int
    reschedule: bool

    async def move(self, batch: Batch, cohort: Cohort) -> bool:
        """Move one cohort; False if something has happened to it since it was looked at."""
        engine = self.engine
        async with engine.pool.connection() as connection:
            target = await self._target(connection, batch)
            gone = await listening.departed(connection, cohort.id)
        if target is None:
            return False
        fresh = self.reschedule and not _is_plain(step_of(self.new, cohort.step))
        written = await asyncio.to_thread(_write, engine, cohort, gone, target, fresh=fresh)
        async with engine.pool.connection() as connection, connection.transaction():
            locked = {id: await batches.lock(connection, id) for id in sorted((batch.id, target))}
            moved = await self._commit(connection, locked[batch.id], locked[target], cohort, written)
        if not moved:
            await asyncio.to_thread(engine.files.delete, written.part.file)
        return moved

    async def _target(self, connection: Connection, batch: Batch) -> str | None:
        """The batch that takes them, opened if there is none; None if theirs does not run any more."""
        async with connection.transaction():
            await journeys.share(connection, batch.customer_id, batch.journey_id)  # before its batches, as a pause
            if (await batches.lock(connection, batch.id)).state != BatchState.RUNNING:
                return None
            if await moving.target(connection, batch.id, self.version) is None:
                await moving.open_target(connection, batch, self.version, self.engine.clock.now())
            return await moving.target(connection, batch.id, self.version)

    async def _commit(
        self, connection: Connection, batch: Batch, target: Batch, cohort: Cohort, written: "_Written"
    ) -> bool:
        part = written.part
        now = self.engine.clock.now()
        if batch.state != BatchState.RUNNING or target.state != BatchState.RUNNING:
            return False
        if not await cohorts.lock(connection, cohort.id):
            return False
        seen = await cohorts.get(connection, cohort.id)
        if seen is None or (seen.part, seen.claim, seen.due_at) != (cohort.part, None, cohort.due_at):
            return False
        if cohort.due_at <= now:
            return False
        await cohorts.claim(connection, cohort.id, _TOKEN)
        await cohorts.close(connection, cohort.id, _TOKEN, now)
        await ledger.add_left(connection, batch.id, cohort.step, {Outcome.MOVED: part.size})
        detail = f"to version {self.version} by batch {target.id}"
        record = Record(cohort.step, written.left, Outcome.MOVED, detail)
        await journal.add_records(connection, batch.id, [record], now)
        if hears(self.old, step_of(self.old, cohort.step)):
            await listening.forget(connection, [cohort.id])
        await arrivals.enter(connection, target.id, part.size)
        if self.new.rules_as_dict().get("reentry") is not None:
            await moving.move_entries(connection, batch, target.id, written.ids)
        await open_cohorts(self.engine, connection, target, self.new, [self._opening(cohort, part, now)])
        await finish_if_empty(connection, batch, now)
        return True

    def _opening(self, cohort: Cohort, part: Part, now: datetime) -> Opening:
        came = cohort.opened_at or now
        step = step_of(self.new, cohort.step)
        due, keeps_moments = cohort.due_at, not _is_plain(step) and not self.reschedule
        if self.reschedule:
            due = step.due(came) if _is_plain(step) else now
        return Opening(
            cohort.step,
            part,
            visit=cohort.visit,
            due_at=due,
            reason=REASON if keeps_moments else None,
            stands=keeps_moments,
            before=cohort.before_at,
            entered_at=cohort.entered_at or cohort.batch_started_at,
            came_at=came,
            doubt=cohort.doubt,
        )


def _is_plain(step: CohortStep) -> bool:
    """Whether all that come to a step at once stand there for the same time."""
    return not isinstance(step, Wait) or step.wait.plain


@dataclass(frozen=True, slots=True)
class _Written:
    """The files of those who move: in the batch that takes them, and in the one that they leave; and their ids."""

    part: Part
    left: str
    ids: list[str]


def _write(engine: Engine, cohort: Cohort, gone: list[int], target: str, *, fresh: bool) -> _Written:
    """Those of a cohort who still stand, in a file of the batch that takes them, with what the step keeps of each
    unless they are to begin anew. Blocks."""
    with engine.files.local(cohort.part.file) as path:
        contacts = pq.read_table(path)
    stays = np.ones(contacts.num_rows, np.bool_)
    stays[gone] = False
    contacts = contacts.filter(pa.array(stays))
    ids = [each for each in contacts["id"].to_pylist() if each != FORGOTTEN]
    with Draft(engine.files) as draft:
        left = _put(engine, draft, cohort.batch, cohort, contacts) if gone else cohort.part.file
        if fresh:
            contacts = contacts.select(CONTACTS.names).replace_schema_metadata(None)
        return _Written(Part(_put(engine, draft, target, cohort, contacts), contacts.num_rows), left, ids)


def _put(engine: Engine, draft: Draft, batch: str, cohort: Cohort, contacts: pa.Table) -> str:
    name = f"batches/{batch}/moved-{cohort.id}-{secrets.token_hex(4)}.parquet"
    name = with_lines(name, *line_range(contacts))
    with scratch_file(engine.scratch) as local:
        cohorts.write_contacts(contacts, local)
        draft.put(local, name)
    return name
