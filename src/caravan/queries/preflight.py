"""The preflight: what a batch that is held for review would do if it were resumed now.

Each contact is led through the journey by the steps' own code: splits and A/B steps choose its way, and message steps
write its messages, and set steps change its properties. What stands behind a wait is decided as of now, too.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from caravan.delivery.cohort_delivery import view
from caravan.delivery.decisions import Send
from caravan.delivery.message_step import MessageSize, MessageStep, ShownMessage, unsubscribe_url
from caravan.delivery.quiet_hours import QuietHours
from caravan.delivery.send_hours import SendWindow
from caravan.delivery.zones import zone_of
from caravan.engine.engine import Engine
from caravan.engine.openings import step_of
from caravan.engine.worker import open_duckdb
from caravan.errors import Conflict, Gone, NoRecipient, NotFound, RenderFailed
from caravan.journeys.exits import when
from caravan.journeys.model import Journey
from caravan.journeys.placeholders import ContactView
from caravan.steps.event_counts import EventCounts
from caravan.steps.exiting import met_conditions
from caravan.steps.sort import SortStep
from caravan.store import batches, cohorts
from caravan.store.batches import Batch, BatchState
from caravan.store.cohorts import Cohort, read_contacts
from caravan.store.database import snapshot
from caravan.store.files import Files
from caravan.store.ledger import Outcome, read_ledger

LOOKED_AT = 20_000  # messages of a step that are written, about; splits and A/B steps are counted exactly
SAMPLES = 3
_FAILURES = 5  # reasons that are told, the most frequent ones
_KEY = "preflight"  # in place of the delivery key, so that nothing that was shown can come back as an answer
_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Branch:
    """How many contacts go from a split or an A/B step to `to`; None is the end of the journey."""

    step: str
    to: str | None
    contacts: int
    as_of: datetime | None  # where a condition asks for the time: what it was taken to be


@dataclass(frozen=True, slots=True)
class Exit:
    """How many contacts leave the journey at a step, by a condition of its `goal` or `exit_when`."""

    step: str
    outcome: Outcome
    rule: str  # in words
    contacts: int


@dataclass(slots=True)
class Segments:
    """How many segments the messages that were looked at take."""

    total: int = 0
    most: int = 0  # of one message
    encodings: Counter[str] = field(default_factory=Counter)  # {encoding: messages}
    because: Counter[str] = field(default_factory=Counter)  # {what a shorter encoding can't write: messages}

    def add(self, size: MessageSize) -> None:
        """One message more."""
        self.total += size.segments
        self.most = max(self.most, size.segments)
        self.encodings[size.encoding] += 1
        if size.because is not None:
            self.because[size.because] += 1


@dataclass(slots=True)
class AtHours:
    """What the hours of a step would mean for the messages that were looked at, were they sent now."""

    skips: bool  # whom it is too early for is left out
    closed: int = 0  # for so many it is too early
    no_zone: int = 0  # so many name no time zone, so that the step's default holds


@dataclass(slots=True)
class Messages:
    """What would come of the messages of a step, as counted over `looked` of the `contacts` that reach it."""

    step: str
    contacts: int = 0
    looked: int = 0
    no_recipient: int = 0
    missing: Counter[str] = field(default_factory=Counter)  # {placeholder that comes out empty: contacts}
    failed: Counter[str] = field(default_factory=Counter)  # {why else a message can't be written: contacts}
    segments: "Segments | None" = None  # of a channel that counts in them
    hours: AtHours | None = None  # of a step that has hours
    samples: list[tuple[str, ShownMessage]] = field(default_factory=list)  # (contact, message)

    @property
    def failures(self) -> dict[str, int]:
        """The most frequent reasons for which messages can't be written."""
        return dict(self.failed.most_common(_FAILURES))


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was read, and what would follow. Branches and messages stand in the order of the journey file."""

    accepted: int
    rejected: dict[str, int]
    branches: list[Branch]
    messages: list[Messages]
    exits: list[Exit]


async def preflight(engine: Engine, customer: int, batch_id: str, contact: str | None = None) -> Preflight:
    """Look at a batch that is held. The samples are messages of the first contacts, or those of `contact` alone.

    Raises `NotFound`, also for another customer's batch and for a contact that it does not have, `Conflict` if it is
    not held (any more) or not read yet, and `Gone` if its contacts were deleted.
    """
    async with snapshot(engine.pool) as connection:
        now = engine.clock.now()
        found = await batches.shown(connection, customer, batch_id, now)
        batch, ledger = batches.read_batch(found), read_ledger(found)
        _check(batch)
        assert batch.version is not None
        journey = await engine.journeys.get(connection, customer, batch.journey_id, batch.version)
        standing = await cohorts.standing(connection, batch.id)
        first = await cohorts.get(connection, standing[0].id) if standing else None
    counts = EventCounts(engine.pool, customer)
    walk = _Walk(journey, now, len(standing), contact, engine.settings.links_url or "", counts)
    if first is not None:
        try:
            await asyncio.to_thread(_lead, engine, walk, first, [each.file for each in standing])
        except Exception:
            await _check_again(engine, customer, batch_id)
            raise
    if contact is not None and not walk.found:
        raise NotFound(f"Batch {batch.id} has no contact {contact!r}.")
    messages = list(walk.messages.values())
    return Preflight(ledger.entered, dict(ledger.rejected), walk.branches(), messages, walk.exits())


def _check(batch: Batch) -> None:
    """Raise `Gone` or `Conflict` unless the batch has been read, and no contact of it has moved."""
    if batch.forgotten_at is not None:
        raise Gone(f"The contacts of batch {batch.id} were deleted on {batch.forgotten_at:%Y-%m-%d}; its ledger stays.")
    if batch.state == BatchState.FAILED:
        raise Conflict(f"Batch {batch.id} failed: {batch.error}")
    if batch.ended:
        raise Conflict(f"Batch {batch.id} is {batch.state}; only a batch that is held for review has a preflight.")
    if batch.state in (BatchState.AWAITING_UPLOAD, BatchState.RECEIVING, BatchState.READING):
        raise Conflict(f"Batch {batch.id} is {batch.state}; it has a preflight once its file is read whole.")
    if not batch.hold:
        raise Conflict(
            f"Batch {batch.id} is not held for review, so its contacts move already; its ledger tells where they go. "
            'Start a batch with "options": {"hold": true} to review it first.'
        )


async def _check_again(engine: Engine, customer: int, batch_id: str) -> None:
    """Raise what became of a batch whose files may have gone meanwhile."""
    async with engine.pool.connection() as connection:
        _check(await batches.of_customer(connection, customer, batch_id))


def _lead(engine: Engine, walk: "_Walk", cohort: Cohort, names: Sequence[str]) -> None:
    """Lead the contacts of these files through the journey, one file in memory at a time. Blocks."""
    with contextlib.closing(open_duckdb(engine.settings)) as duck:
        for contacts in _tables(engine.files, names):
            walk.lead(contacts, duck, cohort)


def _tables(files: Files, names: Sequence[str]) -> Iterator[pa.Table]:
    for name in names:
        with files.local(name) as path:
            yield read_contacts(path)


class _Walk:
    """Counts what contacts would do in a journey."""

    def __init__(
        self, journey: Journey, now: datetime, files: int, contact: str | None, links: str, counts: EventCounts
    ) -> None:
        """`files` is how many tables there will be, so that messages of each of them are looked at; `links` is where
        links in messages lead."""
        self._unsubscribe_url = unsubscribe_url(links, _KEY)
        self._journey, self._now, self._contact, self._counts = journey, now, contact, counts
        self._quiet = QuietHours()
        self._quota = -(-LOOKED_AT // max(1, files))
        self.found = False  # the contact that was asked for
        steps = [step_of(journey, each.id) for each in journey.steps]
        self._steps = {each.id: each for each in steps}
        self._arms = {each.id: np.zeros(len(each.ways), np.int64) for each in steps if isinstance(each, SortStep)}
        self.messages = {each.id: Messages(each.id) for each in steps if isinstance(each, MessageStep)}
        self._left: Counter[tuple[str, int]] = Counter()  # {(step, place of the condition): contacts}

    def lead(self, contacts: pa.Table, duck: duckdb.DuckDBPyConnection, cohort: Cohort) -> None:
        """Lead all contacts of a table to the journey's end. One that comes to a step again goes the same way again,
        so it is counted once at each step."""
        reached = {each: np.zeros(contacts.num_rows, np.bool_) for each in self._steps}
        met: dict[str, list[tuple[pa.Table, _Rows]]] = {each: [] for each in self.messages}
        pending = {self._journey.entry.id: np.arange(contacts.num_rows)}
        while pending:
            step = min(pending, key=self._journey.place)
            arrived = pending.pop(step)
            new = arrived[~reached[step][arrived]]
            reached[step][new] = True
            new = self._staying(step, contacts, new, duck)
            if step in met:
                met[step].append((contacts, new))
            for to, rows in self._onward(step, contacts, new, duck):
                pending[to] = np.union1d(pending[to], rows) if to in pending else rows
            contacts = self._changed(step, contacts, new)
        if self._contact is not None and pc.any(pc.equal(contacts["id"], self._contact)).as_py():
            self.found = True
        for step, some in met.items():
            if some:
                self._look(step, *_together(some), cohort)

    def _staying(self, step_id: str, contacts: pa.Table, rows: _Rows, duck: duckdb.DuckDBPyConnection) -> _Rows:
        """Those of these rows whom no condition of the journey lets go at this step."""
        exits, step = self._journey.exits, self._steps[step_id]
        if not (rows.size and exits.by_condition and (step.waits or isinstance(step, MessageStep))):
            return rows
        arms = met_conditions(exits, _some(contacts, rows), duck, self._now)
        going = arms < len(exits.by_condition)
        self._left.update((step_id, arm) for arm in arms[going].tolist())
        return rows[~going]

    def _changed(self, step_id: str, contacts: pa.Table, rows: _Rows) -> pa.Table:
        """The contacts with what the step gives those in these rows."""
        if not rows.size:
            return contacts
        some = _some(contacts, rows)
        changed = self._steps[step_id].changed(some, self._now)
        if changed is some:
            return contacts
        mask = np.zeros(contacts.num_rows, np.bool_)
        mask[rows] = True
        texts = pc.replace_with_mask(
            contacts["properties"].combine_chunks(), mask, changed["properties"].combine_chunks()
        )
        return contacts.set_column(contacts.schema.get_field_index("properties"), "properties", texts)

    def _onward(
        self, step_id: str, contacts: pa.Table, rows: _Rows, duck: duckdb.DuckDBPyConnection
    ) -> Iterator[tuple[str, _Rows]]:
        """Which of these rows go on to which step."""
        step = self._steps[step_id]
        if not isinstance(step, SortStep):
            ends = step.ends(_some(contacts, rows), duck, self._now) if rows.size else None
            going = rows if ends is None else rows[~ends]
            for target in sorted({to for _, to in step.targets()}) if going.size else ():  # events may lead to several
                yield target, going
            return
        arms = step.choose(_some(contacts, rows), duck, self._now, self._counts) if rows.size else rows
        self._arms[step_id] += np.bincount(arms, minlength=len(step.ways))
        for index, to in enumerate(step.ways):
            if to is not None and (taken := rows[arms == index]).size:
                yield to, taken

    def _look(self, step_id: str, contacts: pa.Table, rows: _Rows, cohort: Cohort) -> None:
        """Write the messages of some of the contacts that reach a step, evenly spread."""
        messages, step = self.messages[step_id], self._steps[step_id]
        assert isinstance(step, MessageStep)
        at_step = replace(cohort, step=step_id).claimed_by(_KEY, self._journey.place(step_id))
        messages.contacts += rows.size
        looked = rows[np.linspace(0, rows.size - 1, self._quota).astype(np.int64)] if rows.size > self._quota else rows
        messages.looked += looked.size
        for person in _some(contacts, looked).to_pylist():
            shown = self._contact is None and len(messages.samples) < SAMPLES
            self._write(messages, step, person, at_step, shown=shown)
        if self._contact is not None:
            self._show_contact(messages, step, contacts, rows, at_step)

    def _show_contact(
        self, messages: Messages, step: MessageStep, contacts: pa.Table, rows: _Rows, cohort: Cohort
    ) -> None:
        """The message of the contact that was asked for, if it is among these rows."""
        wanted = np.flatnonzero(pc.equal(contacts["id"], self._contact).to_numpy())
        for person in _some(contacts, np.intersect1d(wanted, rows)).to_pylist():
            self._write(Messages(step.id, samples=messages.samples), step, person, cohort, shown=True)

    def _write(
        self, messages: Messages, step: MessageStep, person: dict[str, Any], cohort: Cohort, *, shown: bool
    ) -> None:
        """Write one contact's message, and count what came of it."""
        empty: set[str] = set()
        try:
            contact = view(person, self._now, empty, self._unsubscribe_url)
            envelope = step.write(contact, _KEY, cohort, self._now)
            step.check_recipient(envelope)
            if (size := step.size(envelope)) is not None:
                messages.segments = messages.segments or Segments()
                messages.segments.add(size)
            if step.send_window is not None:
                self._look_at_the_clock(messages, step.send_window, contact)
            if shown:
                messages.samples.append((person["id"], step.show(envelope)))
        except NoRecipient:
            messages.no_recipient += 1
        except RenderFailed as error:
            messages.failed[error.message] += 1
        messages.missing.update(empty)

    def _look_at_the_clock(self, messages: Messages, window: SendWindow, contact: ContactView) -> None:
        found = messages.hours = messages.hours or AtHours(window.hours.skips)
        zone = window.zone_of(contact)
        found.no_zone += zone_of(zone) is None
        found.closed += not isinstance(self._quiet.decision(window.hours, zone, _KEY, 0, self._now), Send)

    def exits(self) -> list[Exit]:
        """How many contacts leave at which step, and why."""
        rules = self._journey.exits.by_condition
        found = sorted(self._left.items(), key=lambda each: (self._journey.place(each[0][0]), each[0][1]))
        return [Exit(step, rules[arm][0], when(rules[arm][1]), contacts) for (step, arm), contacts in found]

    def branches(self) -> list[Branch]:
        """How many contacts take each way of each split and A/B step."""
        return [
            Branch(step.id, to, int(contacts), self._now if step.asks_the_clock else None)
            for step in self._steps.values()
            if isinstance(step, SortStep)
            for to, contacts in zip(step.ways, self._arms[step.id], strict=True)
        ]


def _together(met: list[tuple[pa.Table, _Rows]]) -> tuple[pa.Table, _Rows]:
    """A table, and the rows of those who came to a step; each as it was when it came."""
    if all(contacts is met[0][0] for contacts, _ in met):
        return met[0][0], np.unique(np.concatenate([rows for _, rows in met]))
    joined = pa.concat_tables([contacts.take(pa.array(rows)) for contacts, rows in met])
    return joined, np.arange(joined.num_rows)


def _some(contacts: pa.Table, rows: _Rows) -> pa.Table:
    return contacts if rows.size == contacts.num_rows else contacts.take(pa.array(rows))
