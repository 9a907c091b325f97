"""Idempotency keys: the same key and body give the same answer for 24 hours."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Json

from caravan.errors import Conflict, InvalidInput
from caravan.store import sql
from caravan.store.database import Connection, row

LIFE = timedelta(hours=24)
_LONGEST = 255
_Q = sql.load("caravan.store", "idempotency.sql")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's key and the digest of what it was sent with."""

    customer: int
    key: str
    fingerprint: str


async def claim(connection: Connection, key: Key, now: datetime) -> Answer | None:
    """The answer that this key got before; None if it is new, and then it belongs to this transaction.

    A twin that is under way is waited for. Raises `Conflict` if the key came with another body.
    """
    if not 0 < len(key.key) <= _LONGEST:
        raise InvalidInput(f"An Idempotency-Key has 1 to {_LONGEST} characters.")
    who = {"customer": key.customer, "key": key.key}
    await connection.execute(_Q.forget_one, {**who, "before": now - LIFE})
    claimed = await row(connection, _Q.claim, fingerprint=key.fingerprint, now=now, **who)
    if claimed is not None:
        return None
    known = await row(connection, _Q.known, **who)
    if known is None or known["fingerprint"] != key.fingerprint:
        raise Conflict("This Idempotency-Key came with another request before; use a new key for a new request.")
    return Answer(known["status"], known["answer"])


async def keep(connection: Connection, key: Key, answer: Answer) -> None:
    """Remember the answer for the same call again."""
    values = {"customer": key.customer, "key": key.key, "status": answer.status}
    await connection.execute(_Q.answer, {**values, "answer": Json(answer.body)})


async def forget_old(connection: Connection, before: datetime) -> None:
    """Forget the keys of calls that came before then."""
    await connection.execute(_Q.forget_old, {"before": before})
