"""The audit log's rows, which are only ever added."""

from datetime import datetime
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "audit.sql")


async def add_entry(
    connection: Connection,
    *,
    customer: int | None,
    kind: str,
    name: str,
    label: str | None,
    address: str | None,
    act: str,
    subject: str,
    detail: dict[str, Any] | None,
    at: datetime | None,
) -> None:
    """Add a row; `at` None: when the transaction began, by the database's clock."""
    who = {"customer": customer, "kind": kind, "name": name, "label": label, "address": address}
    what = {"act": act, "subject": subject, "detail": None if detail is None else Jsonb(detail), "at": at}
    await connection.execute(_Q.add_entry, {**who, **what})


async def entries(
    connection: Connection,
    customer: int | None,
    before: int | None,
    limit: int,
    *,
    who: str | None = None,
    what: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[DictRow]:
    """The newest rows first, from before the row `before` on: of a customer, or all; those of the actor `who`, of the
    act `what`, and of the time from `since` to before `until`."""
    wanted = {"who": who, "what": what, "since": since, "until": until}
    return await rows(connection, _Q.entries, customer=customer, before=before, limit=limit, **wanted)


async def first_of_subject(connection: Connection, customer: int, subject: str) -> DictRow | None:
    """Who acted first on what is called so: actor_kind, actor_name, actor_label."""
    return await row(connection, _Q.first_of_subject, customer=customer, subject=subject)


async def openers(connection: Connection, customer: int, subjects: list[str]) -> dict[str, str]:
    """Who opened these, as far as the log knows: a user, a token by its name, or a user of the machine."""
    found = await rows(connection, _Q.openers, customer=customer, subjects=subjects)
    return {each["subject"]: each["name"] for each in found}


async def actors(connection: Connection, customer: int, limit: int) -> list[DictRow]:
    """Who acted on a customer, by name: name, label."""
    return await rows(connection, _Q.actors, customer=customer, limit=limit)


async def acts(connection: Connection, customer: int, limit: int) -> list[str]:
    """What was done on a customer, each act once."""
    return [each["name"] for each in await rows(connection, _Q.acts, customer=customer, limit=limit)]


async def count_recent(
    connection: Connection, *, customer: int | None, kind: str, name: str, act: str, since: datetime
) -> int:
    """How often an actor did an act on a customer since a moment; no other transaction counts the same meanwhile."""
    await connection.execute(_Q.lock_actor, {"kind": kind, "name": name, "act": act})
    found = await row(connection, _Q.count_recent, customer=customer, kind=kind, name=name, act=act, since=since)
    assert found is not None
    return int(found["acts"])
