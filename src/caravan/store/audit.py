"""The audit log's rows, which are only ever added."""

from datetime import datetime
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from caravan.store import sql
from caravan.store.database import Connection, rows

_Q = sql.load("caravan.store", "audit.sql")


async def add_entry(
    connection: Connection,
    *,
    customer: int | None,
    kind: str,
    name: str,
    act: str,
    subject: str,
    detail: dict[str, Any] | None,
    at: datetime | None,
) -> None:
    """Add a row; `at` None: when the transaction began, by the database's clock."""
    values = {"customer": customer, "kind": kind, "name": name, "act": act, "subject": subject, "at": at}
    await connection.execute(_Q.add_entry, values | {"detail": None if detail is None else Jsonb(detail)})


async def entries(connection: Connection, customer: int | None, before: int | None, limit: int) -> list[DictRow]:
    """The newest rows first, from before the row `before` on: of a customer, or all."""
    return await rows(connection, _Q.entries, customer=customer, before=before, limit=limit)
