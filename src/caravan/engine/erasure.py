"""Forgetting one person: what is kept of a contact goes, in all batches, while counts and line numbers stay.

Its rows in the files of a batch are written anew without id and properties (erased_files.py), and the batch's rows in
PostgreSQL name the new files from one commit on, under the batch's lock, so that no move can hold on to an old one. In
a batch that runs, the row goes on as nobody: no event finds it, and steps that send leave it out (`forgotten`).

It is done in passes, until one finds nothing: who had begun before may still write what an old file said, and old files
are left for some seconds to those who are reading them. Each pass can end anywhere and be repeated.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from psycopg.errors import DeadlockDetected

from caravan.delivery.cohort_delivery import view
from caravan.delivery.message_step import MessageStep
from caravan.delivery.suppression import comparable
from caravan.engine import erased_files
from caravan.engine.engine import Engine
from caravan.engine.erased_files import Person
from caravan.engine.openings import queue_of
from caravan.errors import InvalidInput, RenderFailed
from caravan.store import batches, cohorts, erasures, listening, suppressions
from caravan.store.batches import BatchState
from caravan.store.customers import shared_secret
from caravan.store.database import Connection
from caravan.store.erasures import Erasure, Holder
from caravan.store.files import Draft

_LONGEST: Final = 256  # characters of an id
_AGAIN: Final = timedelta(seconds=5)  # until the next pass; for so long old files can still be read
_HELD: Final = 60.0  # seconds without a sign of whoever makes a pass, after which another may
_NEW: Final = 64  # files that come up while the others are looked through, and are looked at under the batch's lock
_READING: Final = (BatchState.RECEIVING, BatchState.READING)
_COPIES: Final = "files that were written anew are still read by some for seconds"


#: What else belongs into the transaction of a request, with the number of the erasure.
ErasureNote = Callable[[Connection, int], Awaitable[None]]


async def request(engine: Engine, customer: int, contact: str, note: ErasureNote | None = None) -> Erasure:
    """Have a contact forgotten; one that is being forgotten already stays the same erasure. `note` is called in the
    transaction. Raises `InvalidInput` for what is no id."""
    if not 0 < len(contact) <= _LONGEST:
        raise InvalidInput(f"An id has from 1 to {_LONGEST} characters.")
    async with engine.pool.connection() as connection, connection.transaction():
        found = await erasures.request(connection, customer, contact, engine.clock.now())
        await engine.jobs.erase(connection, found.id)
        if note is not None:
            await note(connection, found.id)
    return found


async def requeue(engine: Engine) -> None:
    """Give a job to each erasure that should have one."""
    async with engine.pool.connection() as connection:
        for each in await erasures.pending(connection):
            await engine.jobs.erase(connection, each, engine.clock.now() + _AGAIN)


async def erase(engine: Engine, number: int) -> Erasure:
    """One pass, if no other is under way; the job for the next one is deferred, unless nothing is left."""
    async with engine.pool.connection() as connection:
        erasure = await erasures.hold(connection, number, _HELD)
        if erasure is None:
            erasure = await erasures.get(connection, number)
            if erasure.finished_at is None:
                await engine.jobs.erase(connection, number, engine.clock.now() + _AGAIN)
            return erasure
    assert erasure.contact is not None
    found = await _Pass(engine, erasure, erasure.contact).run()
    async with engine.pool.connection() as connection, connection.transaction():
        if found.waiting_for is None:
            await erasures.finish(connection, number, found.erased, engine.clock.now())
        else:
            await erasures.note(connection, number, found.waiting_for, found.erased)
            await engine.jobs.erase(connection, number, engine.clock.now() + _AGAIN)
        return await erasures.get(connection, number)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a pass came to."""

    waiting_for: str | None
    erased: Mapping[str, int]


class _Wait(Exception):
    """The batch can't be done now, for this reason."""


class _Pass:
    def __init__(self, engine: Engine, erasure: Erasure, contact: str) -> None:
        self._engine, self._customer, self._contact = engine, erasure.customer, contact
        self._id, self._requested_at = erasure.id, erasure.requested_at
        self._lines, self._replaced = erasure.lines, erasure.replaced
        self._erased = Counter(dict(erasure.erased))

    async def run(self) -> _Found:
        """Look through everything once."""
        await self._delete_replaced()
        waiting = dict[str, None]()
        async with self._engine.pool.connection() as connection:
            holders = await erasures.holders(connection, self._customer, self._requested_at)
            if await erasures.arrives(connection, self._customer, self._contact):
                waiting["the contact is just entering a journey"] = None
        for holder in holders:
            async with self._engine.pool.connection() as connection:
                await erasures.hold(connection, self._id, _HELD, again=True)
            try:
                if await self._batch(holder):
                    waiting[_COPIES] = None
            except _Wait as reason:
                waiting[str(reason)] = None
            except DeadlockDetected:  # with whoever claims a cohort in this moment
                waiting[f"the contacts of batch {holder.id} are just moving"] = None
        async with self._engine.pool.connection() as connection, connection.transaction():
            self._erased.update(await erasures.forget_rows(connection, self._customer, self._contact))
        return _Found("; ".join(waiting) or None, self._erased)

    async def _delete_replaced(self) -> None:
        """Delete the old files of the passes before."""
        by_batch = defaultdict[str, list[str]](list)
        for each in self._replaced:
            by_batch[each.split("/")[1]].append(each)
        for batch, files in by_batch.items():
            async with self._engine.pool.connection() as connection:
                named = await erasures.named_files(connection, batch)
            gone = [each for each in files if each not in named]  # all, unless something is very wrong
            for each in gone:
                await asyncio.to_thread(self._engine.files.delete, each)
            async with self._engine.pool.connection() as connection:
                await erasures.note_deleted(connection, self._id, gone)

    async def _batch(self, holder: Holder) -> bool:
        """Forget the contact in one batch; whether there was anything of it. Raises `_Wait`."""
        if holder.state in _READING:
            raise _Wait(f"the file of batch {holder.id} is being read")
        if holder.restarted:
            raise _Wait(f"contacts of batch {holder.id} are being read for a new batch")
        known = self._lines.get(holder.id)
        found = await self._rows(holder.id)
        person = Person(self._contact, sorted({*(known or ()), *(each["line"] for each in found)}))
        if person.lines:
            await self._forget_deliveries(holder.id, person.lines, found)
        written = await self._write_anew(holder.id, person)
        if written:
            self._erased.update({"batches": 1 if known is None else 0, "rows": written})
        return bool(written)

    async def _rows(self, batch_id: str) -> list[dict[str, Any]]:
        """The contact's rows with which it entered the batch."""
        async with self._engine.pool.connection() as connection:
            batch = await batches.get(connection, batch_id)
            if batch.version is None:
                return []
            journey = await self._engine.journeys.get(connection, self._customer, batch.journey_id, batch.version)
            names = await cohorts.entered_files(connection, batch_id, journey.entry.id)
        return await asyncio.to_thread(erased_files.rows_of, self._engine.files, names, self._contact)

    async def _forget_deliveries(self, batch: str, lines: Sequence[int], found: Sequence[dict[str, Any]]) -> None:
        """Delete what came back to its deliveries, and what is known by its addresses."""
        recipients = await self._recipients(batch, found)
        async with self._engine.pool.connection() as connection, connection.transaction():
            self._erased.update(await erasures.forget_in_batch(connection, batch, lines))
            await shared_secret(connection, "recipients")
            for channel, some in sorted(recipients.items()):
                known = {comparable(channel, each) for each in some}
                kept = await erasures.forget_address(connection, self._customer, channel, some, known)
                hidden = await suppressions.hide(connection, self._customer, channel, known)
                self._erased.update({**kept, "suppressions": hidden})

    async def _recipients(self, batch_id: str, found: Sequence[dict[str, Any]]) -> dict[str, set[str]]:
        """The contact's addresses: to which the steps of the batch's journey write, by channel."""
        async with self._engine.pool.connection() as connection:
            batch = await batches.get(connection, batch_id)
            assert batch.version is not None
            journey = await self._engine.journeys.get(connection, self._customer, batch.journey_id, batch.version)
            first = await erasures.first_cohort(connection, batch_id)
            cohort = None if first is None else await cohorts.get(connection, first)
        recipients = defaultdict[str, set[str]](set)
        if cohort is None:
            return recipients
        now = self._engine.clock.now()
        for step in journey.steps:
            if not isinstance(step, MessageStep) or not step.reaches_people:
                continue
            there = replace(cohort, step=step.id).claimed_by("read-back", journey.place(step.id))
            for row in found:
                person = {"id": self._contact, **row}
                with suppress(RenderFailed):
                    envelope = await asyncio.to_thread(step.write, view(person, now), "read-back", there, now)
                    recipients[step.channel_name].add(envelope.recipient)
        return recipients

    async def _write_anew(self, batch: str, person: Person) -> int:
        """Name files without the contact instead of those that hold it; how many rows that changed. Raises `_Wait`."""
        with Draft(self._engine.files) as draft:
            written = dict[str, tuple[str, int]]()
            looked = await self._look(batch, person, draft, frozenset(), written)
            looked |= await self._look(batch, person, draft, looked, written)  # what came up meanwhile
            async with self._engine.pool.connection() as connection, connection.transaction():
                await batches.lock(connection, batch)
                new = await self._unseen(connection, batch, person, looked)
                if len(new) > _NEW:
                    raise _Wait(f"the contacts of batch {batch} are just moving")
                written |= await self._written(draft, new)
                if written:
                    files = {old: each for old, (each, _) in written.items()}
                    # Another erasure may have replaced some of them meanwhile: what was made of these is not needed.
                    named = await erasures.named_files(connection, batch)
                    useless = [each for old, each in files.items() if old not in named]
                    await self._name(connection, batch, files)
                    await erasures.note_replaced(connection, self._id, batch, person.lines, [*files, *useless])
                draft.keep()
        return sum(rows for _, rows in written.values())

    async def _look(
        self,
        batch: str,
        person: Person,
        draft: Draft,
        looked: frozenset[str],
        written: dict[str, tuple[str, int]],
    ) -> frozenset[str]:
        """Write anew what has not been looked at yet, and say what that was."""
        async with self._engine.pool.connection() as connection:
            new = await self._unseen(connection, batch, person, looked)
        written |= await self._written(draft, new)
        return frozenset(new)

    async def _unseen(self, connection: Connection, batch: str, person: Person, looked: Collection[str]) -> list[str]:
        named = await erasures.named_files(connection, batch)
        return [each for each in sorted(named - set(looked)) if person.may_be_in(each)]

    async def _written(self, draft: Draft, names: Collection[str]) -> dict[str, tuple[str, int]]:
        engine = self._engine
        return await asyncio.to_thread(
            erased_files.write_without, engine.files, draft, engine.scratch, names, self._contact
        )

    async def _name(self, connection: Connection, batch_id: str, new: Mapping[str, str]) -> None:
        """Name the new files instead of the old ones, in the caller's transaction. Raises `_Wait` while a sender works
        with one of them: nobody could say who got what, if it were taken from it."""
        standing = await erasures.lock_standing(connection, batch_id, new)
        if any(each.being_sent for each in standing):
            raise _Wait(f"a message step of batch {batch_id} is just sending to the contact's cohort")
        await erasures.replace_files(connection, batch_id, new)
        claimed = [each for each in standing if each.claimed]
        if claimed:
            batch = await batches.get(connection, batch_id)
            assert batch.version is not None
            journey = await self._engine.journeys.get(connection, self._customer, batch.journey_id, batch.version)
            for each in claimed:  # its worker can't commit any more, and does it anew
                queue = queue_of(journey, each.step, each.provider)
                await self._engine.jobs.advance(connection, each.id, queue, each.due_at, each.turn)
        # An event that is just being matched may not find the old file.
        await listening.look_again(connection, {each.id for each in standing})
        if standing:
            await listening.defer_match(connection, self._customer)
