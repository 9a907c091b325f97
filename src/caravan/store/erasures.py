"""Erasures: contacts of whom nothing is to be kept any more, how far that is, and what of them PostgreSQL holds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from caravan.errors import NotFound
from caravan.store import sql
from caravan.store.database import Connection, row, rows
from caravan.store.entries import hashed

_Q = sql.load("caravan.store", "erasures.sql")


@dataclass(frozen=True, slots=True)
class Erasure:
    """One contact that is forgotten."""

    id: int
    customer: int
    contact: str | None  # None once it is finished
    requested_at: datetime
    finished_at: datetime | None
    waiting_for: str | None  # why it is not finished; None before it was begun
    lines: Mapping[str, list[int]]  # of the contact, in batches whose files were written anew
    replaced: Sequence[str]  # old files of these, which are still there
    erased: Mapping[str, int]  # by kind, like "events"


@dataclass(frozen=True, slots=True)
class Holder:
    """A batch that may hold the contact."""

    id: str
    state: str
    restarted: bool  # a new batch is just being read out of its files


@dataclass(frozen=True, slots=True)
class Standing:
    """A cohort that stands, locked until the end of the transaction."""

    id: int
    step: str
    due_at: datetime
    turn: int | None
    provider: str | None
    claimed: bool
    being_sent: bool  # a sender has begun with it


async def request(connection: Connection, customer: int, contact: str, now: datetime) -> Erasure:
    """The erasure of a contact that is pending, or else a new one."""
    found = await row(connection, _Q.request, customer=customer, contact=contact, now=now)
    assert found is not None
    return await get(connection, found["id"])


async def get(connection: Connection, erasure: int) -> Erasure:
    """Any customer's erasure. Raises `NotFound`."""
    return _erasure(await row(connection, _Q.get, id=erasure), erasure)


async def of_customer(connection: Connection, customer: int, erasure: int) -> Erasure:
    """An erasure of this customer. Raises `NotFound`, also for another customer's."""
    return _erasure(await row(connection, _Q.of_customer, id=erasure, customer=customer), erasure)


async def hold(connection: Connection, erasure: int, seconds: float, *, again: bool = False) -> Erasure | None:
    """Have it alone for so many seconds; None if another has it, or it is finished. `again`: whoever
    has it has it for longer."""
    found = await row(connection, _Q.hold, id=erasure, seconds=seconds, again=again)
    return None if found is None else _erasure(found, erasure)


async def pending(connection: Connection) -> list[int]:
    """Those that are not finished."""
    return [each["id"] for each in await rows(connection, _Q.pending)]


async def note(connection: Connection, erasure: int, waiting: str, erased: Mapping[str, int]) -> None:
    """How far it is."""
    await connection.execute(_Q.note, {"id": erasure, "waiting": waiting, "erased": Jsonb(erased)})


async def note_replaced(
    connection: Connection, erasure: int, batch: str, lines: Sequence[int], files: Collection[str]
) -> None:
    """A batch's files have been written anew, with the caller's commit; in the old ones the contact is at these
    lines."""
    values = {"batch": batch, "lines": list(lines), "files": list(files)}
    await connection.execute(_Q.note_replaced, {"id": erasure, **values})


async def note_deleted(connection: Connection, erasure: int, files: Collection[str]) -> None:
    """These old files are gone."""
    await connection.execute(_Q.note_deleted, {"id": erasure, "files": list(files)})


async def finish(connection: Connection, erasure: int, erased: Mapping[str, int], now: datetime) -> None:
    """It is done, and its own row knows the contact no longer."""
    await connection.execute(_Q.finish, {"id": erasure, "erased": Jsonb(erased), "now": now})


async def holders(connection: Connection, customer: int, before: datetime) -> list[Holder]:
    """The batches from before a moment that may hold a contact of this customer, the oldest first."""
    return [Holder(**each) for each in await rows(connection, _Q.batches, customer=customer, before=before)]


async def arrives(connection: Connection, customer: int, contact: str) -> bool:
    """Whether the contact is just entering by single start."""
    found = await row(connection, _Q.arrives, customer=customer, contact=contact)
    return bool(found and found["there"])


async def first_cohort(connection: Connection, batch: str) -> int | None:
    """Any cohort of the batch, also one that is closed."""
    found = await row(connection, _Q.first_cohort, batch=batch)
    return None if found is None else int(found["id"])


async def named_files(connection: Connection, batch: str) -> set[str]:
    """Every file that a row of the batch names."""
    return {str(each["file"]) for each in await rows(connection, _Q.named_files, batch=batch)}


async def lock_standing(connection: Connection, batch: str, files: Collection[str]) -> list[Standing]:
    """The cohorts that stand with these files, locked. The caller has the batch locked."""
    return [Standing(**each) for each in await rows(connection, _Q.open_cohorts, batch=batch, files=list(files))]


async def replace_files(connection: Connection, batch: str, new: Mapping[str, str]) -> None:
    """Name other files instead, {old: new}; the claims of cohorts that stand with them are void."""
    await connection.execute(_Q.replace_files, {"batch": batch, "old": list(new), "new": list(new.values())})


async def forget_rows(connection: Connection, customer: int, contact: str) -> dict[str, int]:
    """Delete what is kept of the contact apart from batches; how much that was, by kind."""
    await connection.execute(_Q.forget_threads, {"customer": customer, "contact": contact})
    await connection.execute(_Q.forget_entries, {"customer": customer, "digest": hashed(contact)})
    return {"events": await _count(connection, _Q.forget_events, customer=customer, contact=contact)}


async def forget_in_batch(connection: Connection, batch: str, lines: Sequence[int]) -> dict[str, int]:
    """Delete what came back to the contact's deliveries in a batch, and from whom; how much that was, by kind."""
    hits = await _count(connection, _Q.forget_hits, batch=batch, lines=list(lines))
    returns = await _count(connection, _Q.forget_returns, batch=batch, lines=list(lines))
    return {"hits": hits, "returns": returns}


async def forget_address(
    connection: Connection, customer: int, channel: str, recipients: Collection[str], addresses: Collection[str]
) -> dict[str, int]:
    """Delete messages in the sandbox to recipients as they were written, and counts of soft bounces of `addresses`,
    as delivery/suppression.py: comparable writes them; how many messages those were."""
    values = {"customer": customer, "channel": channel}
    await connection.execute(_Q.forget_soft_bounces, {**values, "addresses": list(addresses)})
    return {"messages": await _count(connection, _Q.forget_messages, **values, recipients=list(recipients))}


async def _count(connection: Connection, query: Any, **values: object) -> int:
    found = await row(connection, query, **values)
    return int(found["found"]) if found else 0


def _erasure(found: dict[str, Any] | None, erasure: int) -> Erasure:
    if found is None:
        raise NotFound(f"There is no erasure {erasure}.")
    return Erasure(
        id=found["id"],
        customer=found["customer_id"],
        contact=found["contact"],
        requested_at=found["requested_at"],
        finished_at=found["finished_at"],
        waiting_for=found["waiting_for"],
        lines=found["lines"],
        replaced=found["replaced"],
        erased=found["erased"],
    )
