"""Whom a delivery went to, by the key that came back with an answer: the contact is found again in the batch's files,
and its message is written again by the version of the journey that wrote it."""

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow.parquet as pq

from caravan.delivery.answers import Answer, read_answer
from caravan.delivery.cohort_delivery import view
from caravan.delivery.key import DeliveryKey, read_key
from caravan.delivery.message_step import MessageStep
from caravan.delivery.signing import SECRET
from caravan.delivery.suppression import comparable
from caravan.engine.engine import Engine
from caravan.errors import NotFound, RenderFailed, Unavailable
from caravan.store import batches, cohorts
from caravan.store.batches import Batch
from caravan.store.cohorts import FORGOTTEN, Cohort, may_hold
from caravan.store.customers import customer_name, signing_secrets

_KEPT: Final = 4_096  # recipients in memory, for those who look, and then decide
_FRESH: Final = 60.0  # seconds for which they are
_AT_ONCE: Final = 4  # look-ups; each reads a file of contacts, of some MiB
_WAITING: Final = 64  # more are sent away, so that those who wait get an answer
_SECRETS_FRESH: Final = 30.0  # seconds
_LOCALES: Final = ("locale", "language", "lang")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a delivery went to. `address` is None where that can't be said any more: the contacts were deleted."""

    customer: int
    customer_name: str
    batch: str
    step: str
    channel: str
    address: str | None  # as delivery/suppression.py: comparable writes it
    topic: str | None
    transactional: bool
    locale: str | None  # what the contact's properties say
    contact: str | None = None  # the customer's own id; None where it can't be said any more


class Recipients:
    """Finds recipients, a few at a time: whoever asks again and again does not keep the process from its work."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known = OrderedDict[DeliveryKey, tuple[float, Recipient]]()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._secrets: tuple[float, list[bytes]] = (0.0, [])

    async def find(self, text: str) -> Recipient:
        """The recipient of a delivery by its key. Raises `NotFound` for what is no key of this installation, or of
        which nothing is left, and `Unavailable` while too many others ask."""
        key = await self.read(text)
        if key is None:
            raise NotFound("This is no key of a delivery.")
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and now - known[0] < _FRESH:
            return known[1]
        if self._waiting >= _WAITING:
            raise Unavailable("Too many ask at the same time; try again in some seconds.")
        self._waiting += 1
        try:
            async with self._places:
                found = (await _find(self._engine, key.batch, key.step, key.visit, [key.line]))[key.line]
        finally:
            self._waiting -= 1
        self._known[key] = (now, found)
        self._known.move_to_end(key)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found

    async def read(self, text: str) -> DeliveryKey | None:
        """What a key leads to; None for what this installation never signed. It asks the database once in a while."""
        return read_key(text, await self._signing())

    async def read_answer(self, key: str, answer: str, signature: str) -> tuple[DeliveryKey, Answer] | None:
        """What the address of an answer says; None for what this installation never signed."""
        return read_answer(key, answer, signature, await self._signing())

    async def find_all(self, keys: Iterable[DeliveryKey]) -> dict[DeliveryKey, Recipient]:
        """The recipients of many deliveries, without those of which nothing is left. A file is read once, however many
        of its contacts are looked for."""
        wanted: dict[tuple[str, int, int], set[int]] = defaultdict(set)
        for key in keys:
            wanted[key.batch, key.step, key.visit].add(key.line)
        found: dict[DeliveryKey, Recipient] = {}
        for (batch, step, visit), lines in wanted.items():
            async with self._places:
                try:
                    recipients = await _find(self._engine, batch, step, visit, sorted(lines))
                except NotFound:
                    continue
            found |= {DeliveryKey(batch, step, visit, line): each for line, each in recipients.items()}
        return found

    async def _signing(self) -> list[bytes]:
        read_at, secrets = self._secrets
        now = time.monotonic()
        if not secrets or now - read_at >= _SECRETS_FRESH:
            async with self._engine.pool.connection() as connection:
                secrets = [each.value.encode() for each in await signing_secrets(connection, SECRET)]
            self._secrets = (now, secrets)
        return secrets


async def _find(engine: Engine, batch_id: str, place: int, visit: int, lines: list[int]) -> dict[int, Recipient]:
    """The recipients of some deliveries of one visit to one step, by line."""
    async with engine.pool.connection() as connection:
        batch = await batches.get(connection, batch_id)
        name = await customer_name(connection, batch.customer_id)
        if batch.version is None:
            raise NotFound("This batch has sent nothing.")
        journey = await engine.journeys.get(connection, batch.customer_id, batch.journey_id, batch.version)
        step = journey.steps[place] if place < len(journey.steps) else None
        if not isinstance(step, MessageStep):
            raise NotFound("This step sends nothing.")
        files = [
            (cohort, file)
            for cohort, file in await cohorts.arrival_files(connection, batch.id, step.id, visit)
            if any(may_hold(file, line) for line in lines)
        ]
        cohort = await cohorts.get(connection, files[0][0]) if files else None
    people = await asyncio.to_thread(_contacts, engine, [file for _, file in files], lines)
    found = _recipient(batch, name, step)
    if cohort is None:
        return dict.fromkeys(lines, found)
    return await asyncio.to_thread(_all_written, engine, found, step, lines, people, cohort, journey.place(step.id))


def _all_written(
    engine: Engine,
    found: Recipient,
    step: MessageStep,
    lines: list[int],
    people: dict[int, dict[str, Any]],
    cohort: Cohort,
    place: int,
) -> dict[int, Recipient]:
    """All of them, those that can still be told with their address. Blocks."""
    return {
        line: _written(engine, found, step, people[line], cohort, place) if line in people else found for line in lines
    }


def _recipient(batch: Batch, name: str, step: MessageStep) -> Recipient:
    return Recipient(
        customer=batch.customer_id,
        customer_name=name,
        batch=batch.id,
        step=step.id,
        channel=step.channel_name,
        address=None,
        topic=step.topic,
        transactional=step.transactional,
        locale=None,
    )


def _contacts(engine: Engine, files: list[str], lines: list[int]) -> dict[int, dict[str, Any]]:
    """The rows of CONTACTS at these lines, by line, without those who were forgotten. Blocks."""
    people: dict[int, dict[str, Any]] = {}
    for file in files:
        if len(people) == len(lines):
            break
        try:
            with engine.files.local(file) as path:
                wanted = [("line", "in", lines), ("id", "!=", FORGOTTEN)]
                found = pq.read_table(path, schema=cohorts.CONTACTS, filters=wanted)
        except FileNotFoundError:  # forgotten meanwhile
            continue
        people = {person["line"]: person for person in found.to_pylist()} | people
    return people


def _written(
    engine: Engine,
    found: Recipient,
    step: MessageStep,
    person: dict[str, Any],
    cohort: Cohort,
    place: int,
) -> Recipient:
    """The same with the address that the step writes to this contact, and the contact's language. Blocks."""
    now = engine.clock.now()
    contact = view(person, now)
    try:
        envelope = step.write(contact, "read-back", cohort.claimed_by("read-back", place), now)
    except RenderFailed:
        return replace(found, contact=person["id"])
    locale = next((str(contact.properties[each]) for each in _LOCALES if contact.properties.get(each)), None)
    address = comparable(step.channel_name, envelope.recipient)
    return replace(found, address=address, locale=locale, contact=person["id"])
