"""Bring a database to the schema of this version: numbered files, forward only, one transaction each."""

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import LiteralString

from procrastinate import schema
from psycopg.errors import LockNotAvailable

from caravan.errors import Conflict
from caravan.store import sql
from caravan.store.database import Connection, row, rows

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

    Raises `Conflict` if a migration that the database already has reads differently here.
    """
    queries = sql.load("caravan.store", "migrate.sql")
    await connection.set_autocommit(True)
    await connection.execute(queries.lock, {"key": _LOCK})
    try:
        await connection.execute(queries.create_history)
        await _apply_queue(connection)
        done = {each["number"]: each["digest"] for each in await rows(connection, queries.history)}
        return [each.name for each in migrations() if await _apply(connection, each, done.get(each.number))]
    finally:
        await connection.execute(queries.unlock, {"key": _LOCK})


async def pending(connection: Connection) -> list[str]:
    """The names of the migrations that this version ships and the database lacks."""
    queries = sql.load("caravan.store", "migrate.sql")
    there = await row(connection, queries.has_history)
    known = await rows(connection, queries.history) if there and there["there"] else []
    done = {each["number"] for each in known}
    return [each.name for each in migrations() if each.number not in done]


async def _apply_queue(connection: Connection) -> None:
    """Procrastinate's own tables."""
    queries = sql.load("caravan.store", "migrate.sql")
    there = await row(connection, queries.has_queue)
    if there is None or not there["there"]:
        async with connection.transaction():
            await connection.execute(schema.SchemaManager.get_schema())


async def _apply(connection: Connection, migration: Migration, known_digest: str | None) -> bool:
    if known_digest is not None:
        if known_digest != migration.digest:
            raise Conflict(
                f"Migration {migration.name} was changed after this database had it; use the version that made it."
            )
        return False
    queries = sql.load("caravan.store", "migrate.sql")
    for _ in range(_TRIES - 1):
        with suppress(LockNotAvailable):
            await _write(connection, queries, migration)
            return True
        await asyncio.sleep(_PAUSE)
    await _write(connection, queries, migration)
    return True


async def _write(connection: Connection, queries: sql.Queries, migration: Migration) -> None:
    """All of a migration or nothing. Whoever works with a table that it changes is waited for, but not for long: all
    others would wait behind. Raises `LockNotAvailable`."""
    async with connection.transaction():
        await connection.execute(queries.wait_for_locks, {"time": _LOCK_TIME})
        await connection.execute(migration.text)
        await connection.execute(
            queries.remember, {"number": migration.number, "name": migration.name, "digest": migration.digest}
        )
