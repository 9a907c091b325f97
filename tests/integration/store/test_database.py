"""Connections: a server that went away under an idle pool is noticed before anybody is given a dead one."""

import asyncio

import psycopg
import pytest
from psycopg import AsyncConnection

from caravan.store import database as module
from caravan.store.database import AWAY, Pool, connect, row, single


async def _idle(pool: Pool, connections: int) -> list[int]:
    """Leave so many connections idle in the pool; the process ids at their other ends."""
    ids = []
    async with asyncio.timeout(60):
        held = [await pool.getconn() for _ in range(connections)]
        for each in held:
            ids.append(each.info.backend_pid)
            await pool.putconn(each)
    return ids


async def test_connections_that_the_server_closed_are_never_given_out(pool: Pool, database: str) -> None:
    ended = await _idle(pool, 4)
    async with await AsyncConnection.connect(database, autocommit=True) as other:
        # Waits until they are gone, 5 s at most.
        await other.execute("select pg_terminate_backend(pid, 5000) from unnest(%s::int[]) pid", (ended,))
    for _ in ended:
        async with pool.connection() as connection:
            assert connection.info.backend_pid not in ended
            await connection.execute("select 1")


async def test_an_idle_connection_is_given_out_without_asking_the_server(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (idle,) = await _idle(pool, 1)

    async def asked(connection: object) -> None:
        raise AssertionError("a round trip")

    monkeypatch.setattr(type(pool), "check_connection", staticmethod(asked))
    async with pool.connection() as connection:
        assert connection.info.backend_pid == idle


async def test_a_single_statement_is_committed_at_once_and_the_next_user_has_transactions_again(pool: Pool) -> None:
    await _idle(pool, 1)
    async with single(pool) as connection:
        await connection.execute("insert into secrets (name, value) values ('a', 'b')")
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    async with pool.connection() as connection:
        assert await row(connection, "select value from secrets where name = 'a'") == {"value": "b"}
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS


async def test_a_column_that_is_added_meanwhile_disturbs_nobody(pool: Pool, database: str) -> None:
    """An older version works on while a newer one migrates, also on statements that it has asked very often."""
    async with pool.connection() as warm, await AsyncConnection.connect(database, autocommit=True) as newer:
        await warm.set_autocommit(True)
        for _ in range(20):
            await row(warm, "select * from customers")
        await newer.execute("alter table customers add column colour text")
        assert await row(warm, "select * from customers") is None
        await warm.set_autocommit(False)


async def test_who_falls_silent_in_the_middle_of_a_transaction_loses_its_locks(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SILENCE", "200ms")
    async with connect(database, size=2) as pool:
        silent, other = await pool.getconn(), await pool.getconn()
        await silent.execute("lock table customers")
        async with asyncio.timeout(60):
            await other.execute("lock table customers")
        with pytest.raises(AWAY):
            await silent.execute("select 1")
        for each in (silent, other):
            await pool.putconn(each)
