"""Procrastinate's own tables: which of the migrations that it ships a database has, and which it lacks.

Its files are named `version_number[_pre|_post]_words.sql`. A `pre` fits old and new code; a `post` removes what only
old code calls, so it comes once none of that runs: at the latest with the next version's `pre`.
"""

from dataclasses import dataclass
from importlib import resources
from typing import LiteralString

from procrastinate import schema

from caravan.errors import Conflict
from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "queue_schema.sql")
_LABEL = "procrastinate "


@dataclass(frozen=True, slots=True)
class QueueMigration:
    """One step in the history of Procrastinate's schema."""

    name: str
    text: LiteralString

    @property
    def label(self) -> str:
        """What a user is told was applied."""
        return _LABEL + self.name

    @property
    def is_post(self) -> bool:
        return "_post_" in self.name


def whole_schema() -> LiteralString:
    """The installed version's schema, for a database that has none."""
    return schema.SchemaManager.get_schema()


def shipped() -> list[QueueMigration]:
    """All migrations that the installed version ships, in order."""
    folder = resources.files("procrastinate.sql") / "migrations"
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [QueueMigration(name.removesuffix(".sql"), (folder / name).read_text(encoding="utf-8")) for name in files]


async def is_there(connection: Connection) -> bool:
    """Whether the database has a queue, of whatever version."""
    found = await row(connection, _Q.there)
    return bool(found and found["queue"])


async def applied(connection: Connection) -> set[str]:
    """The names of the shipped migrations that the database's queue has.

    Raises `Conflict` if its tables are older than any that Caravan was ever used with.
    """
    there = await row(connection, _Q.there)
    known = {each["name"] for each in await rows(connection, _Q.history)} if there and there["history"] else set[str]()
    if known:
        return known
    seen = await row(connection, _Q.last_seen)
    if seen is None:
        raise Conflict(
            "The tables of Procrastinate in this database are older than its version 3.0; migrate them to it first "
            "(https://procrastinate.readthedocs.io, Migrations)."
        )
    return {each.name for each in shipped() if each.name[: len(seen["last"])] <= seen["last"]}


async def missing(connection: Connection) -> list[QueueMigration]:
    """What the database's queue lacks and may get now, in order; it has a queue."""
    known = await applied(connection)
    lacking = [each for each in shipped() if each.name not in known]
    if lacking and await _any_worker(connection):
        while lacking and lacking[-1].is_post:
            del lacking[-1]
    return lacking


async def _any_worker(connection: Connection) -> bool:
    """Whether any worker lives, which may be of an older version."""
    there = await row(connection, _Q.has_workers)
    found = await row(connection, _Q.any_worker) if there and there["there"] else None
    return bool(found and found["there"])


async def create_history(connection: Connection) -> None:
    """Where it is kept which migrations the database has."""
    await connection.execute(_Q.create_history)


async def remember(connection: Connection, names: set[str]) -> None:
    """Keep it that the database has these migrations."""
    for name in sorted(names):
        await connection.execute(_Q.remember, {"name": name})
