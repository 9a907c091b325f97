"""The single starter: one contact by one call, durable before its answer. Calls that arrive together share one
transaction (groups.py)."""

from collections.abc import Sequence
from dataclasses import dataclass

from caravan.engine.engine import Engine
from caravan.engine.groups import Groups
from caravan.engine.single_reentry import admit_singles
from caravan.errors import CaravanError, InvalidInput
from caravan.intake.strict import Accepted, classify
from caravan.queue import transient
from caravan.store import arrivals, idempotency, journeys
from caravan.store.arrivals import Gathering, Single
from caravan.store.database import Connection
from caravan.store.idempotency import Answer, Key

_ENTERED = 202


@dataclass(frozen=True, slots=True)
class Commence:
    """A contact that is to enter a journey."""

    customer: int
    journey: int
    contact: Accepted
    key: Key | None = None


class Starter:
    """The single starter of one process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._groups = Groups[Commence, Answer](self._enter, transient.is_transient)

    async def commence(self, customer: int, journey: int, body: bytes, key: Key | None = None) -> Answer:
        """Enter the contact whose JSON object `body` is: durable when this returns, moving within a second.

        Raises `InvalidInput` where a file's row would be a reject, `NotFound` for an unpublished journey, and
        `Conflict` if the key came with another body before.
        """
        if key is not None:
            idempotency.check(key)
        contact = accept(body, self._engine.settings.max_row_bytes)
        while (answer := await self._groups.ask(Commence(customer, journey, contact, key))) is _TWIN:
            pass
        return answer

    async def _enter(self, calls: Sequence[Commence]) -> Sequence[Answer | Exception]:
        async with self._engine.pool.connection() as connection:
            return await enter(self._engine, connection, calls)


_TWIN = Answer(0, {})  # an earlier call of the group has the same key: asked again, this one gets the same answer


def accept(body: bytes, row_bytes: int) -> Accepted:
    """The contact, by the same rules as a row of a file. Raises `InvalidInput`."""
    verdict = classify(body, row_bytes)
    if not isinstance(verdict, Accepted):
        sentence = getattr(verdict, "message", "the body is empty.")
        raise InvalidInput(f"This contact can't enter: {sentence}")
    return verdict


async def enter(engine: Engine, connection: Connection, calls: Sequence[Commence]) -> list[Answer | Exception]:
    """Enter contacts with the caller's commit: an answer or an error for each call, in their order."""
    now = engine.clock.now()
    answers: dict[int, Answer | Exception] = dict(_twins(calls))
    keys = [call.key for index, call in enumerate(calls) if call.key is not None and index not in answers]
    known = await idempotency.claim_all(connection, keys, now) if keys else {}
    answers |= {i: known[call.key] for i, call in enumerate(calls) if i not in answers and call.key in known}
    new = {index: call for index, call in enumerate(calls) if index not in answers}
    answers |= await _enter_new(engine, connection, new)
    await _keep(connection, new, answers)
    return [answers[index] for index in range(len(calls))]


def _twins(calls: Sequence[Commence]) -> dict[int, Answer]:
    """The calls whose key an earlier one has, by their places."""
    seen, twins = set[tuple[int, str]](), dict[int, Answer]()
    for index, call in enumerate(calls):
        if call.key is not None:
            name = (call.key.customer, call.key.key)
            if name in seen:
                twins[index] = _TWIN
            seen.add(name)
    return twins


async def _enter_new(
    engine: Engine, connection: Connection, calls: dict[int, Commence]
) -> dict[int, Answer | CaravanError]:
    if not calls:
        return {}
    singles = [Single(each.customer, each.journey, each.contact.id, each.contact.properties) for each in calls.values()]
    found = await arrivals.add(connection, singles, engine.clock.now())
    refused: dict[int, CaravanError] = {}
    for place, gathering in sorted(found.items()):
        if gathering.guarded:
            there = {index: single for index, single in zip(calls, singles, strict=True) if single.place == place}
            refused |= await admit_singles(engine, connection, place, gathering, there)
        if not gathering.queued:
            await engine.jobs.gather(connection, gathering.batch)
    answers = {index: _answer(call, found.get((call.customer, call.journey))) for index, call in calls.items()}
    return answers | refused


def _answer(call: Commence, gathering: Gathering | None) -> Answer | CaravanError:
    if gathering is None:
        return journeys.not_published(call.customer, call.journey)
    return Answer(_ENTERED, {"contactId": call.contact.id, "batchId": gathering.batch})


async def _keep(connection: Connection, calls: dict[int, Commence], answers: dict[int, Answer | Exception]) -> None:
    """Remember the answers of calls with a key; a call that failed may come with the same key again."""
    kept, freed = list[tuple[Key, Answer]](), list[Key]()
    for index, call in calls.items():
        if call.key is None:
            continue
        answer = answers[index]
        if isinstance(answer, Answer):
            kept.append((call.key, answer))
        else:
            freed.append(call.key)
    if kept:
        await idempotency.keep_all(connection, kept)
    if freed:
        await idempotency.free_all(connection, freed)
