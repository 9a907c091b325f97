"""Procrastinate's own tables, brought from every older version to the installed one."""

from itertools import pairwise

import pytest

from caravan.errors import Conflict
from caravan.store import queue_schema
from caravan.store.database import Connection, connect, rows
from caravan.store.migrate import migrate, pending
from caravan.store.queue_schema import QueueMigration, shipped

_SCHEMA = {
    "columns": """
        select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns
        where table_name like 'procrastinate%%' order by 1, 2""",
    "constraints": """
        select conname, pg_get_constraintdef(oid) from pg_constraint
        where conrelid in (select oid from pg_class where relname like 'procrastinate%%') and contype <> 'n'
        order by 1""",
    "indexes": "select indexname, indexdef from pg_indexes where tablename like 'procrastinate%%' order by 1",
    "functions": """
        select proname, regexp_replace(pg_get_functiondef(oid), '\\s+', ' ', 'g') as def from pg_proc
        where proname like 'procrastinate%%' order by 1, 2""",
    "triggers": """
        select tgname, pg_get_triggerdef(oid) from pg_trigger
        where tgrelid in (select oid from pg_class where relname like 'procrastinate%%') and not tgisinternal
        order by 1""",
    "enums": """
        select t.typname, e.enumlabel from pg_enum e join pg_type t on t.oid = e.enumtypid
        where t.typname like 'procrastinate%%' order by 1, e.enumsortorder""",
}
#: Everything that a database may have been left at since version 3.0, but for what comes with the last migration.
_SINCE_3 = [each.name for each in shipped() if each.name >= "03.00.00_01"][:-1]


async def _schema(url: str) -> dict[str, list[dict[str, object]]]:
    async with connect(url, size=1) as pool, pool.connection() as connection:
        return {name: await rows(connection, query) for name, query in _SCHEMA.items()}


async def _make(connection: Connection, last: str) -> None:
    """A queue as the version that ended with this migration made it."""
    await connection.set_autocommit(True)
    for each in shipped():
        if each.name <= last:
            await connection.execute(each.text)


async def _migrate(url: str) -> list[str]:
    async with connect(url, size=1) as pool, pool.connection() as connection:
        return [name for name in await migrate(connection) if name.startswith("procrastinate ")]


@pytest.mark.parametrize("last", _SINCE_3)
async def test_an_older_queue_gets_what_it_lacks_and_is_then_like_a_new_one(
    empty_database: str, database: str, last: str
) -> None:
    lacking = [each.label for each in shipped() if each.name > last]
    async with connect(empty_database, size=1) as pool, pool.connection() as connection:
        await _make(connection, last)
        assert {each.label for each in shipped() if not each.is_post} & set(lacking) <= set(await pending(connection))
    assert await _migrate(empty_database) == lacking
    assert await _migrate(empty_database) == []
    assert await _schema(empty_database) == await _schema(database)


async def test_jobs_that_wait_in_an_older_queue_are_kept(empty_database: str) -> None:
    async with connect(empty_database, size=1) as pool, pool.connection() as connection:
        await _make(connection, _SINCE_3[0])
        await connection.execute("insert into procrastinate_jobs (queue_name, task_name) values ('advance', 'advance')")
    await _migrate(empty_database)
    async with connect(empty_database, size=1) as pool, pool.connection() as connection:
        assert await rows(connection, "select task_name, status::text from procrastinate_jobs") == [
            {"task_name": "advance", "status": "todo"}
        ]


async def test_a_queue_from_before_version_3_is_refused_in_a_sentence(empty_database: str) -> None:
    last = max(each.name for each in shipped() if each.name < "03")
    async with connect(empty_database, size=1) as pool, pool.connection() as connection:
        await _make(connection, last)
    with pytest.raises(Conflict, match=r"older than its version 3\.0"):
        await _migrate(empty_database)


async def test_a_new_version_of_procrastinate_brings_its_migrations_and_the_last_post_once_no_worker_is_left(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two versions of which one removes what the other calls, workers of both may run."""
    later = [
        QueueMigration("98.01.00_01_pre_add", "create table procrastinate_a (id bigint)"),
        QueueMigration("98.01.00_50_post_remove", "drop table procrastinate_a"),
        QueueMigration("98.02.00_01_pre_add", "create table procrastinate_b (id bigint)"),
        QueueMigration("98.02.00_50_post_remove", "drop table procrastinate_b"),
    ]
    known = shipped()
    monkeypatch.setattr(queue_schema, "shipped", lambda: [*known, *later])
    async with connect(database, size=1) as pool, pool.connection() as connection:
        await connection.execute("insert into procrastinate_workers default values")
        await connection.commit()
        assert await pending(connection) == [each.label for each in later if not each.is_post]
    assert await _migrate(database) == [each.label for each in later[:3]]
    async with connect(database, size=1) as pool, pool.connection() as connection:
        assert await pending(connection) == []
        await connection.execute("update procrastinate_workers set last_heartbeat = now() - interval '2 minutes'")
    assert await _migrate(database) == [later[3].label]


def test_migrations_of_the_queue_are_in_order_and_none_is_named_twice() -> None:
    assert all(one.name < other.name for one, other in pairwise(shipped()))
