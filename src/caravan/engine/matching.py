"""Events are matched with those who wait for them. Whoever leaves by an event leaves their cohort in one transaction:
with the row that says so, the cohort's size, the ledger, the journal and the cohorts in which they go on.

Nobody is asked who stands: for each event the contacts are found in the cohorts that listen (events/finder.py), so the
cost follows the events. Events are gathered for a moment, so that of many each cohort of a batch moves once.
"""

import asyncio
import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from caravan.engine.advance import finish_if_empty, open_cohorts
from caravan.engine.engine import Engine
from caravan.engine.openings import queue_of, step_of
from caravan.errors import Conflict
from caravan.events.event import Origin
from caravan.events.finder import Finders, Found, hashes_of
from caravan.events.happening import Happening, read_group
from caravan.events.meant import first_met, with_segments
from caravan.journeys.exits import when
from caravan.journeys.model import Journey
from caravan.steps.cohort_files import scratch_file
from caravan.steps.move import Tools
from caravan.steps.sort import END
from caravan.steps.step import Stay
from caravan.store import batches, journal, ledger, listening
from caravan.store.batches import BatchState
from caravan.store.cohorts import CONTACTS, Opening, Part, line_range, with_lines, write_contacts
from caravan.store.database import Connection
from caravan.store.files import Draft
from caravan.store.journal import Record
from caravan.store.ledger import Outcome
from caravan.store.listening import KeptEvent, Listener

_GROUPS = 200  # of events, in one round
_EVENTS = 20_000  # in one round, but for the last group
_LOOKING = 8  # cohorts for which the events that are kept are looked through in one round
_PAGE = 10_000  # events that are kept, looked through at once
_TRIES = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Met:
    """A contact that stands, and something that it did."""

    listener: Listener
    found: Found
    happening: Happening
    by_step: bool  # the step may lead it on by this
    by_exit: bool  # the journey may let it go by this

    @property
    def place(self) -> tuple[int, int]:
        return self.listener.id, self.found.place

    @property
    def stay(self) -> Stay:
        listener = self.listener
        return Stay(Origin(listener.batch, listener.step, listener.visit, self.found.line), self.found.properties)


@dataclass(frozen=True, slots=True)
class _Way:
    """How contacts leave a cohort: by an event that their step waits for, or from the journey."""

    outcome: Outcome
    detail: str  # for the journal
    to: str | None = None
    awaited: int | None = None  # which of the events that the step waits for it was


@dataclass(frozen=True, slots=True)
class _Leaver:
    """A contact that leaves its cohort."""

    met: _Met
    way: _Way


class _Stale(Exception):
    """Somebody has left, a cohort was closed, or the batch paused, since they were looked at."""


class _Unmoved(Exception):
    """The batch does not go on."""


async def match(engine: Engine, tools: Tools, finders: Finders, customer: int) -> None:
    """One round: match the events of a customer that were taken by now, and look through those that are kept for
    cohorts that have just begun to listen. What is left is a job of its own. Running twice does nothing twice."""
    async with engine.pool.connection() as connection:
        await listening.wait_for_takers(connection, customer)
    matching = _Matching(engine, tools, finders, customer)
    more = await matching.match_taken()
    if await matching.look_through_kept() or more:
        async with engine.pool.connection() as connection:
            await listening.defer_match(connection, customer, 0)


def finders_of(engine: Engine) -> Finders:
    """The copies of this machine in which contacts are found."""
    return Finders(engine.files, engine.settings.folder / "standing")


async def forget_copies(engine: Engine) -> None:
    """Copies of files are deleted where nobody stands any more; what is known of closed cohorts is forgotten."""
    async with engine.pool.connection() as connection:
        await listening.tidy(connection)
        files = await listening.standing_files(connection)
    await asyncio.to_thread(finders_of(engine).forget_others, files)


async def requeue_matching(engine: Engine) -> None:
    """Give a job to each customer that should have one, see `upkeep.requeue_missing_jobs`."""
    async with engine.pool.connection() as connection:
        for customer in await listening.waiting_customers(connection):
            await listening.defer_match(connection, customer)


class _Matching:
    def __init__(self, engine: Engine, tools: Tools, finders: Finders, customer: int) -> None:
        self._engine, self._tools, self._finders, self._customer = engine, tools, finders, customer

    async def match_taken(self) -> bool:
        """Match the oldest events that were taken; whether there are more."""
        async with self._engine.pool.connection() as connection:
            groups = await listening.unmatched(connection, self._customer, _GROUPS)
        happenings, done = list[Happening](), list[int]()
        for number, group in groups:
            if len(happenings) < _EVENTS:
                happenings += read_group(group)
                done.append(number)
        if not done:
            return False
        happenings.sort(key=lambda each: each.at)
        await self._match(happenings)
        async with self._engine.pool.connection() as connection:
            await listening.delete_unmatched(connection, done)
            return await listening.any_unmatched(connection, self._customer)

    async def look_through_kept(self) -> bool:
        """Match the events that are kept with some cohorts for which that is still to be done; whether there are
        more."""
        looking = [each for each in await self._listeners() if each.look and not each.paused]
        some = looking[:_LOOKING]
        if not some:
            return False
        async with self._engine.pool.connection() as connection:  # who takes events now may not know of these yet
            await listening.wait_for_takers(connection, self._customer)
        await asyncio.to_thread(self._prepare, some)
        names = frozenset().union(*(each.events | each.exits for each in some))
        since = min(min(each.since, each.exits_since or each.since) for each in some)
        ids, last = {each.id for each in some}, None
        while page := await self._kept(names, since, last):
            happenings = [_happened(each) for each in page]
            await self._match(happenings, ids)
            last = page[-1]
        async with self._engine.pool.connection() as connection:
            await listening.set_looked(connection, ids)
        return len(looking) > len(some)

    async def _listeners(self) -> list[Listener]:
        async with self._engine.pool.connection() as connection:
            return await listening.listeners(connection, self._customer)

    async def _kept(self, names: frozenset[str], since: datetime, last: KeptEvent | None) -> list[KeptEvent]:
        async with self._engine.pool.connection() as connection:
            return await listening.kept(connection, self._customer, names, since, last, _PAGE)

    def _prepare(self, listeners: Sequence[Listener]) -> None:
        """Make the copies in which contacts are found, so that no event has to wait for them."""
        for each in listeners:
            with suppress(FileNotFoundError):  # its batch is being forgotten
                self._finders.of(each.file, self._tools.duck)

    async def _match(self, happenings: Sequence[Happening], only: set[int] | None = None) -> None:
        """Let those leave whom these happenings, in order of time, lead on; of all cohorts, or of some `only`."""
        for _ in range(_TRIES):
            listeners = [each for each in await self._listeners() if only is None or each.id in only]
            leaving: dict[str, list[_Leaver]] = defaultdict(list)
            for leaver in await self._leavers(happenings, listeners):
                leaving[leaver.met.listener.batch].append(leaver)
            left = [await self._leave(batch, some) for batch, some in sorted(leaving.items())]
            if all(left):
                return
        raise Conflict(f"Those who wait for events of customer {self._customer} change all the time.")

    async def _leavers(self, happenings: Sequence[Happening], listeners: Sequence[Listener]) -> list[_Leaver]:
        """Who is led on, each by the first happening that does."""
        met = await asyncio.to_thread(lambda: list(self._find(happenings, listeners)))
        if not met:
            return []
        async with self._engine.pool.connection() as connection:
            gone = await listening.departed_among(connection, {each.place for each in met})
            paused = {each.listener.id for each in met if each.listener.paused}
            if paused:  # they are looked at again once they may move
                await listening.look_again(connection, paused)
        by_step: dict[tuple[int, int, str], list[_Met]] = defaultdict(list)
        for each in met:
            if each.place not in gone and not each.listener.paused:
                by_step[each.listener.journey, each.listener.version, each.listener.step].append(each)
        leavers: dict[tuple[int, int], _Leaver] = {}
        for some in by_step.values():
            journey = await self._journey(some[0].listener)
            ways = await asyncio.to_thread(self._ways, journey, some)
            for each, way in sorted(zip(some, ways, strict=True), key=lambda pair: pair[0].happening.at):
                if way is not None:
                    leavers.setdefault(each.place, _Leaver(each, way))
        return list(leavers.values())

    def _ways(self, journey: Journey, some: Sequence[_Met]) -> list[_Way | None]:
        """How each leaves, all of whom stand at one step: what ends the journey goes before what leads on in it.
        Blocks."""
        ways: list[_Way | None] = [None] * len(some)
        duck, now, step = self._tools.duck, self._engine.clock.now(), step_of(journey, some[0].listener.step)
        rules = with_segments([rule for _, rule in journey.exits.by_event])
        exiting = [place for place, each in enumerate(some) if each.by_exit]
        for place, index in zip(exiting, first_met(rules, *_told(some, exiting), duck, now), strict=True):
            if index is not None:
                outcome, rule = journey.exits.by_event[index]
                ways[place] = _Way(outcome, when(rule))
        waiting = [place for place, each in enumerate(some) if each.by_step and ways[place] is None]
        happenings, stays = [some[place].happening for place in waiting], [some[place].stay for place in waiting]
        for place, index in zip(waiting, step.led_on(happenings, stays, duck, now), strict=True):
            if index is not None:
                word, to = step.way_of(index)
                ways[place] = _Way(Outcome.PASSED, f"{word}: {to or END}", to, index)
        return ways

    def _find(self, happenings: Sequence[Happening], listeners: Sequence[Listener]) -> Iterator[_Met]:
        """Who stands, listens, and did what is listened for in time. Blocks."""
        hashes = hashes_of([each.contact for each in happenings], self._tools.duck)
        order = np.argsort(hashes, kind="stable")
        at = np.array([_microseconds(each.at) for each in happenings], np.int64)
        names = np.array([each.name for each in happenings])
        for listener in listeners:
            in_time = at < _microseconds(listener.due_at)
            by_step = in_time & np.isin(names, list(listener.events)) & (at >= _microseconds(listener.since))
            by_exit = np.zeros_like(by_step)
            if listener.exits_since is not None:
                by_exit = in_time & np.isin(names, list(listener.exits)) & (at >= _microseconds(listener.exits_since))
            places = order[(by_step | by_exit)[order]]
            if not places.size:
                continue
            try:
                finder = self._finders.of(listener.file, self._tools.duck)
            except FileNotFoundError:  # its batch is being forgotten
                continue
            for index, found in finder.find(hashes[places]):
                place = places[index]
                happening = happenings[place]
                if found.id == happening.contact:
                    yield _Met(listener, found, happening, bool(by_step[place]), bool(by_exit[place]))

    async def _journey(self, listener: Listener) -> Journey:
        async with self._engine.pool.connection() as connection:
            return await self._engine.journeys.get(connection, self._customer, listener.journey, listener.version)

    async def _leave(self, batch: str, leavers: Sequence[_Leaver]) -> bool:
        """Let contacts of a batch leave; False if some have left or fallen due since they were looked at, and nobody
        did."""
        journey = await self._journey(leavers[0].met.listener)
        try:
            with Draft(self._engine.files) as draft:
                groups = await asyncio.to_thread(self._write, draft, journey, batch, leavers)
                async with self._engine.pool.connection() as connection, connection.transaction():
                    await self._commit(connection, journey, batch, leavers, groups)
                    draft.keep()
        except _Stale:
            return False
        except _Unmoved:
            return True
        for each in groups:
            self._engine.metrics.moves.labels(step_of(journey, each.step).kind).inc()
        return True

    def _write(self, draft: Draft, journey: Journey, batch: str, leavers: Sequence[_Leaver]) -> list["_Group"]:
        """A file for each way on. Blocks."""
        groups: dict[tuple[str, int, _Way], list[_Leaver]] = defaultdict(list)
        for each in leavers:
            groups[each.met.listener.step, each.met.listener.visit, each.way].append(each)
        ordered = sorted(groups.items(), key=lambda group: (*group[0][:2], group[0][2].detail))
        return [self._write_group(draft, journey, batch, *key, some) for key, some in ordered]

    def _write_group(
        self, draft: Draft, journey: Journey, batch: str, step_id: str, visit: int, way: _Way, some: list[_Leaver]
    ) -> "_Group":
        step = step_of(journey, step_id)
        some = sorted(some, key=lambda each: each.met.found.line)
        found = [each.met.found for each in some]
        properties = [each.properties for each in found]
        if way.awaited is not None:
            index = way.awaited
            properties = [step.learnt(index, each.met.happening, each.met.found.properties) for each in some]
        columns = [[each.line for each in found], [each.id for each in found], properties]
        contacts = pa.table([pa.array(each) for each in columns], schema=CONTACTS)
        name = with_lines(f"batches/{batch}/event-{secrets.token_hex(6)}.parquet", *line_range(contacts))
        with scratch_file(self._engine.scratch) as local:
            write_contacts(contacts, local)
            draft.put(local, name)
        entered = [each.met.listener.entered_at for each in some if each.met.listener.entered_at is not None]
        last = max(each.met.happening.at for each in some)
        return _Group(step_id, visit, Part(name, len(some)), way, min(entered, default=None), last)

    async def _commit(
        self,
        connection: Connection,
        journey: Journey,
        batch_id: str,
        leavers: Sequence[_Leaver],
        groups: list["_Group"],
    ) -> None:
        """All of it, in the caller's transaction. Raises `_Stale`, or `_Unmoved` where the batch does not go on."""
        now = self._engine.clock.now()
        gone = Counter(each.met.listener.id for each in leavers)
        batch = await batches.lock(connection, batch_id)
        if batch.state != BatchState.RUNNING or batch.paused_at is not None:
            raise _Stale if batch.state == BatchState.RUNNING else _Unmoved
        locked = await listening.lock_cohorts(connection, gone)
        if len(locked) < len(gone) or not await listening.depart(connection, [each.met.place for each in leavers]):
            raise _Stale
        await listening.shrink(connection, locked.values(), dict(gone), now)
        for step, outcomes in sorted(_by_step(groups).items()):
            await ledger.add_left(connection, batch.id, step, outcomes)
        records = [Record(each.step, each.part.file, each.way.outcome, each.way.detail) for each in groups]
        await journal.add_records(connection, batch.id, records, now)
        openings = [each.opening(journey, now) for each in groups if each.way.to is not None]
        await open_cohorts(self._engine, connection, batch, journey, openings)
        for each in locked.values():
            if each.claimed:  # its time is over as well: that move is void, and done anew without those who left
                step = next(one.met.listener.step for one in leavers if one.met.listener.id == each.id)
                await self._engine.jobs.advance(connection, each.id, queue_of(journey, step), each.due_at, each.turn)
        await finish_if_empty(connection, batch, now)


@dataclass(frozen=True, slots=True)
class _Group:
    """Contacts that leave a step together."""

    step: str
    visit: int
    part: Part
    way: _Way
    entered_at: datetime | None
    last: datetime  # of the events that led them on

    def opening(self, journey: Journey, now: datetime) -> Opening:
        to = self.way.to
        assert to is not None
        due = step_of(journey, to).due(now)
        # What led them on counts for no step that follows.
        after = self.last + timedelta(microseconds=1)
        return Opening(to, self.part, visit=self.visit + 1, due_at=due, before=after, entered_at=self.entered_at)


def _by_step(groups: Sequence[_Group]) -> dict[str, Counter[Outcome]]:
    outcomes: dict[str, Counter[Outcome]] = defaultdict(Counter)
    for each in groups:
        outcomes[each.step][each.way.outcome] += each.part.size
    return outcomes


def _told(some: Sequence[_Met], places: Sequence[int]) -> tuple[list[Happening], list[str]]:
    """What those in these places did, and their properties."""
    return [some[place].happening for place in places], [some[place].found.properties for place in places]


def _happened(event: KeptEvent) -> Happening:
    origin = None
    if event.batch is not None and event.step is not None and event.visit is not None and event.line is not None:
        origin = Origin(event.batch, event.step, event.visit, event.line)
    return Happening(event.contact, event.name, event.at, json.loads(event.properties), origin)


def _microseconds(moment: datetime) -> int:
    return int((moment - _EPOCH) / timedelta(microseconds=1))
