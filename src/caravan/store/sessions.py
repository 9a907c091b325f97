"""Sessions of users, and the attempts to sign in that failed. Both are known by a SHA-256 digest only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "sessions.sql")


@dataclass(frozen=True, slots=True)
class Failures:
    """How often signing in failed for a user or from an address, and when it was last tried."""

    count: int
    last_at: datetime


async def add_session(connection: Connection, digest: bytes, user: int, password: str, now: datetime) -> bool:
    """Open a session for a user whose password's hash is `password`; False if that is no longer so."""
    return await row(connection, _Q.add_session, digest=digest, user=user, password=password, now=now) is not None


async def session(connection: Connection, digest: bytes, idle_since: datetime, made_since: datetime) -> DictRow | None:
    """A session that was used after `idle_since` and made after `made_since`: its user's id, email, is_operator,
    must_change_password, and used_at."""
    return await row(connection, _Q.session, digest=digest, idle_since=idle_since, made_since=made_since)


async def roles_of(connection: Connection, user: int) -> list[DictRow]:
    """A user's customers: customer (its number), name, role."""
    return await rows(connection, _Q.roles_of, user=user)


async def use_session(connection: Connection, digest: bytes, now: datetime) -> None:
    """Note that a session is in use."""
    await connection.execute(_Q.use_session, {"digest": digest, "now": now})


async def still_open(
    connection: Connection, asked: Sequence[tuple[bytes, int | None]], idle_since: datetime, made_since: datetime
) -> set[tuple[bytes, int | None]]:
    """Which of these sessions have not ended, and, where a customer is named, have a user with a role for it."""
    values = {"digests": [digest for digest, _ in asked], "customers": [customer for _, customer in asked]}
    found = await rows(connection, _Q.still_open, idle_since=idle_since, made_since=made_since, **values)
    return {(bytes(each["digest"]), each["customer"]) for each in found}


async def delete_session(connection: Connection, digest: bytes) -> None:
    """End a session."""
    await connection.execute(_Q.delete_session, {"digest": digest})


async def delete_sessions_of(connection: Connection, user: int) -> None:
    """End all sessions of a user."""
    await connection.execute(_Q.delete_sessions_of, {"user": user})


async def delete_ended(connection: Connection, idle_since: datetime, made_since: datetime) -> None:
    """Delete the sessions that idleness or age has ended."""
    await connection.execute(_Q.delete_ended, {"idle_since": idle_since, "made_since": made_since})


async def lock_failures(connection: Connection, digests: Sequence[bytes], now: datetime) -> dict[bytes, Failures]:
    """What is counted under each digest, held until the transaction ends."""
    values = {"digests": list(digests), "now": now}
    await connection.execute(_Q.add_failures, values)
    found = await rows(connection, _Q.lock_failures, **values)
    return {bytes(each["digest"]): Failures(each["failures"], each["last_at"]) for each in found}


async def count_failure(connection: Connection, digests: Sequence[bytes], now: datetime) -> None:
    """Count one failure more under each digest."""
    await connection.execute(_Q.count_failure, {"digests": list(digests), "now": now})


async def forget_failures(connection: Connection, digest: bytes) -> None:
    """Begin to count anew."""
    await connection.execute(_Q.forget_failures, {"digest": digest})


async def uncount_failure(connection: Connection, digest: bytes) -> None:
    """Take back one failure that was counted."""
    await connection.execute(_Q.uncount_failure, {"digest": digest})


async def forget_old_failures(connection: Connection, before: datetime) -> None:
    """Forget what was last tried before a time."""
    await connection.execute(_Q.forget_old_failures, {"before": before})
