"""Bring a database to the schema of this version: numbered files, forward only, one transaction each."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import LiteralString

from psycopg.errors import LockNotAvailable

from caravan.errors import Conflict, Unavailable
from caravan.store import queue_schema, sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "migrate.sql")
_LOCK_TIME = "1s"
_TRIES, _PAUSE = 60, 0.5  # seconds
_LOCK = 0x0CA2A7A1  # one migration at a time on a database, whichever machine it runs on


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema's history."""

    number: int
    name: str
    text: LiteralString

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All migrations that this version ships, in order."""
    folder = resources.files("caravan.store") / "migrations"
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [
        Migration(int(name.split("_")[0]), name.removesuffix(".sql"), (folder / name).read_text(encoding="utf-8"))
        for name in files
    ]


async def migrate(connection: Connection) -> list[str]:
    """Apply what is missing and return the names of what was applied.

    Raises `Conflict` if a migration that the database already has reads differently here, or if its queue is too old.
    """
    await connection.set_autocommit(True)
    await connection.execute(_Q.lock, {"key": _LOCK})
    try:
        await connection.execute(_Q.create_history)
        queue = await _apply_queue(connection)
        done = {each["number"]: each["digest"] for each in await rows(connection, _Q.history)}
        return queue + [each.name for each in migrations() if await _apply(connection, each, done.get(each.number))]
    finally:
        await connection.execute(_Q.unlock, {"key": _LOCK})


async def pending(connection: Connection) -> list[str]:
    """The names of the migrations that this version needs and the database lacks."""
    there = await row(connection, _Q.has_history)
    known = await rows(connection, _Q.history) if there and there["there"] else []
    done = {each["number"] for each in known}
    queue = await queue_schema.missing(connection) if await queue_schema.is_there(connection) else []
    needed = [each.label for each in queue if not each.is_post]
    return needed + [each.name for each in migrations() if each.number not in done]


async def check_schema(connection: Connection) -> None:
    """Raise `Unavailable` if the database lacks what this version needs; nothing is changed."""
    if missing := await pending(connection):
        raise Unavailable(
            f"The database is older than this version: it lacks {', '.join(missing)}; run `caravan migrate`."
        )


async def _apply_queue(connection: Connection) -> list[str]:
    """Procrastinate's own tables: all of them at once for a new database, else what they lack."""
    if not await queue_schema.is_there(connection):
        async with connection.transaction():
            await connection.execute(queue_schema.whole_schema())
            await queue_schema.create_history(connection)
            await queue_schema.remember(connection, {each.name for each in queue_schema.shipped()})
        return []
    missing = await queue_schema.missing(connection)
    async with connection.transaction():
        known = await queue_schema.applied(connection)
        await queue_schema.create_history(connection)
        await queue_schema.remember(connection, known)
    for each in missing:
        await _write(connection, each.text, partial(queue_schema.remember, connection, {each.name}))
    return [each.label for each in missing]


async def _apply(connection: Connection, migration: Migration, known_digest: str | None) -> bool:
    if known_digest is None:
        await _write(connection, migration.text, partial(_remember, connection, migration))
        return True
    if known_digest != migration.digest:
        raise Conflict(
            f"Migration {migration.name} was changed after this database had it; use the version that made it."
        )
    return False


async def _remember(connection: Connection, migration: Migration) -> None:
    values = {"number": migration.number, "name": migration.name, "digest": migration.digest}
    await connection.execute(_Q.remember, values)


Remember = Callable[[], Awaitable[None]]


async def _write(connection: Connection, text: LiteralString, remember: Remember) -> None:
    """Apply a migration, again and again if others work with a table that it changes. Raises `LockNotAvailable`."""
    for _ in range(_TRIES - 1):
        with suppress(LockNotAvailable):
            return await _try_to_write(connection, text, remember)
        await asyncio.sleep(_PAUSE)
    await _try_to_write(connection, text, remember)


async def _try_to_write(connection: Connection, text: LiteralString, remember: Remember) -> None:
    """All of a migration or nothing. It waits for others that work with a table that it changes, but not for long,
    since all further ones would wait behind it. Raises `LockNotAvailable`."""
    async with connection.transaction():
        await connection.execute(_Q.wait_for_locks, {"time": _LOCK_TIME})
        await connection.execute(text)
        await remember()
