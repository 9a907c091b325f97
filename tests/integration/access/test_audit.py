"""The audit log."""

from datetime import UTC, datetime

import psycopg
import pytest

from caravan.access.audit import Actor, ActorKind, entries, record
from caravan.engine.removal import remove_customer
from caravan.store.database import Pool
from tests.integration.conftest import System

NOW = datetime(2026, 11, 23, tzinfo=UTC)


async def test_acts_are_listed_newest_first_by_pages(pool: Pool) -> None:
    async with pool.connection() as connection:
        for count in range(5):
            actor = Actor(ActorKind.TOKEN, "5f0c2a91be77", 1 + count % 2)
            await record(connection, actor, "pause", f"batch {count}", {"count": count}, at=NOW)
        await record(connection, Actor(ActorKind.COMMAND, "root", None), "migrate", "the installation")
        everything = await entries(connection, None)
        assert [each.act for each in everything] == ["migrate"] + ["pause"] * 5
        assert everything[-1].at == NOW and everything[-1].detail == {"count": 0}
        assert everything[-1].actor == Actor(ActorKind.TOKEN, "5f0c2a91be77", 1)
        page = await entries(connection, 1, limit=2)
        assert [each.subject for each in page] == ["batch 4", "batch 2"]
        assert [each.subject for each in await entries(connection, 1, before=page[-1].id)] == ["batch 0"]


@pytest.mark.parametrize("change", ["update audit set act = 'nothing'", "delete from audit", "truncate audit"])
async def test_what_is_in_the_log_stays(pool: Pool, change: str) -> None:
    async with pool.connection() as connection:
        await record(connection, Actor(ActorKind.COMMAND, "root", None), "migrate", "the installation")
    with pytest.raises(psycopg.errors.RaiseException):
        async with pool.connection() as connection:
            await connection.execute(change)  # type: ignore[arg-type]


async def test_the_log_outlives_a_customer(idle_system: System) -> None:
    async with idle_system.engine.pool.connection() as connection:
        actor = Actor(ActorKind.USER, "anna@example.com", idle_system.customer)
        await record(connection, actor, "start", "batch 1")
    await remove_customer(idle_system.engine, idle_system.customer)
    async with idle_system.engine.pool.connection() as connection:
        assert [each.subject for each in await entries(connection, idle_system.customer)] == ["batch 1"]
