"""Idempotency keys: the same key and body give the same answer for 24 hours."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Json

from caravan.errors import Conflict, InvalidInput
from caravan.store import sql
from caravan.store.database import Connection, row, rows

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


def check(key: Key) -> None:
    """Raise `InvalidInput` for a key that can't be one."""
    if not 0 < len(key.key) <= _LONGEST:
        raise InvalidInput(f"An Idempotency-Key has 1 to {_LONGEST} characters.")


async def claim(connection: Connection, key: Key, now: datetime) -> Answer | None:
    """The answer that this key got before; None if it is new, and then it belongs to this transaction.

    A twin that is under way is waited for. Raises `Conflict` if the key came with another body.
    """
    check(key)
    who = {"customer": key.customer, "key": key.key}
    await connection.execute(_Q.forget_one, {**who, "before": now - LIFE})
    claimed = await row(connection, _Q.claim, fingerprint=key.fingerprint, now=now, **who)
    if claimed is not None:
        return None
    known = await row(connection, _Q.known, **who)
    if known is None or known["fingerprint"] != key.fingerprint:
        raise _other_request()
    return Answer(known["status"], known["answer"])


async def keep(connection: Connection, key: Key, answer: Answer) -> None:
    """Remember the answer for the same call again."""
    values = {"customer": key.customer, "key": key.key, "status": answer.status}
    await connection.execute(_Q.answer, {**values, "answer": Json(answer.body)})


async def claim_all(connection: Connection, keys: Sequence[Key], now: datetime) -> dict[Key, Answer | Conflict]:
    """The answers that keys got before, or why they get none; the others are new, and belong to this transaction.
    No two of the keys may be the same, and all have to be checked."""
    names = _names(keys)
    await connection.execute(_Q.forget_some, {**names, "before": now - LIFE})
    prints = [key.fingerprint for key in keys]
    claimed = await rows(connection, _Q.claim_all, fingerprints=prints, now=now, **names)
    new = {(each["customer_id"], each["key"]) for each in claimed}
    old = [key for key in keys if (key.customer, key.key) not in new]
    if not old:
        return {}
    found = await rows(connection, _Q.known_all, **_names(old))
    known = {(each["customer_id"], each["key"]): each for each in found}
    return {key: _answer(key, known.get((key.customer, key.key))) for key in old}


def _answer(key: Key, known: DictRow | None) -> Answer | Conflict:
    if known is None or known["fingerprint"] != key.fingerprint:
        return _other_request()
    return Answer(known["status"], known["answer"])


def _other_request() -> Conflict:
    return Conflict("This Idempotency-Key came with another request before; use a new key for a new request.")


async def keep_all(connection: Connection, answers: Sequence[tuple[Key, Answer]]) -> None:
    """Remember the answers for the same calls again."""
    values = {
        "statuses": [answer.status for _, answer in answers],
        "answers": [json.dumps(answer.body) for _, answer in answers],
    }
    await connection.execute(_Q.answer_all, {**_names([key for key, _ in answers]), **values})


async def free_all(connection: Connection, keys: Sequence[Key]) -> None:
    """Forget keys that this transaction claimed."""
    await connection.execute(_Q.free_all, _names(keys))


def _names(keys: Sequence[Key]) -> dict[str, list[Any]]:
    return {"customers": [key.customer for key in keys], "keys": [key.key for key in keys]}


async def forget_old(connection: Connection, before: datetime) -> None:
    """Forget the keys of calls that came before then."""
    await connection.execute(_Q.forget_old, {"before": before})
