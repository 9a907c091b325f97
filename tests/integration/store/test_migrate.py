"""The schema's history."""

import asyncio
from dataclasses import replace
from importlib import resources

import psycopg
import pytest

from caravan.errors import Conflict
from caravan.store import migrate as module
from caravan.store.database import connect, rows
from caravan.store.migrate import migrate, migrations, pending

_SCHEMA = """
select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns
where table_schema = 'public' order by 1, 2
"""
_INDEXES = "select indexname, indexdef from pg_indexes where schemaname = 'public' order by 1"


async def _apply(url: str) -> list[str]:
    async with connect(url, size=1) as pool, pool.connection() as connection:
        return await migrate(connection)


async def _schema(url: str) -> list[object]:
    async with connect(url, size=1) as pool, pool.connection() as connection:
        return [*await rows(connection, _SCHEMA), *await rows(connection, _INDEXES)]


async def test_a_new_database_gets_every_migration_once(empty_database: str) -> None:
    assert await _apply(empty_database) == [each.name for each in migrations()]
    assert await _apply(empty_database) == []


async def test_migrating_one_by_one_gives_the_same_schema_as_all_at_once(
    empty_database: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    for count in range(1, len(known) + 1):
        monkeypatch.setattr(module, "migrations", lambda count=count: known[:count])
        await _apply(empty_database)
    assert await _schema(empty_database) == await _schema(database)


async def test_several_that_migrate_at_once_do_it_one_after_the_other(empty_database: str) -> None:
    done = await asyncio.gather(*(_apply(empty_database) for _ in range(4)))
    assert sorted(name for names in done for name in names) == [each.name for each in migrations()]


async def test_a_migration_that_was_changed_afterwards_is_refused(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = [replace(each, text=each.text + "\n-- changed") for each in migrations()]
    monkeypatch.setattr(module, "migrations", lambda: changed)
    with pytest.raises(Conflict, match="was changed"):
        await _apply(database)


async def test_a_migration_that_fails_leaves_nothing_behind(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [replace(each, text="create table half (a int); select nonsense;") for each in migrations()[:1]]
    monkeypatch.setattr(module, "migrations", lambda: broken)
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await _apply(empty_database)
    assert "half" not in {each["table_name"] for each in await _schema(empty_database) if "table_name" in each}  # type: ignore[operator, index]


def test_migrations_are_numbered_without_gaps() -> None:
    assert [each.number for each in migrations()] == list(range(1, len(migrations()) + 1))
    assert (resources.files("caravan.store") / "migrations").is_dir()


async def test_a_database_that_lacks_migrations_is_told_apart_from_one_that_has_them(
    empty_database: str, database: str
) -> None:
    for url, missing in ((empty_database, [each.name for each in migrations()]), (database, [])):
        async with connect(url, size=1) as pool, pool.connection() as connection:
            assert await pending(connection) == missing


async def test_an_older_version_runs_on_a_database_that_a_newer_one_has_migrated(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = module.Migration(9_999, "9999_later", "create table later (id bigint)")
    with monkeypatch.context() as newer:
        newer.setattr(module, "migrations", lambda: [*migrations(), later])
        assert "9999_later" in await _apply(empty_database)
    async with connect(empty_database, size=1) as pool, pool.connection() as connection:
        assert await pending(connection) == []
    assert await _apply(empty_database) == []


async def test_a_migration_that_has_to_wait_for_a_table_lets_others_work_with_it_meanwhile(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = module.Migration(9_999, "9999_later", "alter table customers add column colour text")
    known = migrations()
    monkeypatch.setattr(module, "migrations", lambda: [*known, later])
    monkeypatch.setattr(module, "_LOCK_TIME", "300ms")
    async with connect(database, size=3) as pool:
        reader, other = await pool.getconn(), await pool.getconn()
        await reader.execute("select from customers")  # and its transaction goes on
        migrating = asyncio.create_task(_apply(database))
        async with asyncio.timeout(60):
            for _ in range(5):
                await other.execute("select from customers")
                await other.commit()
                await asyncio.sleep(0.2)
        assert not migrating.done()
        await reader.commit()
        assert await migrating == ["9999_later"]
        for each in (reader, other):
            await pool.putconn(each)
