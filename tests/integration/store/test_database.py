"""Connections: a server that went away under an idle pool is noticed before anybody is given a dead one."""

import asyncio

import psycopg
import pytest
from psycopg import AsyncConnection

from caravan.store.database import Pool, row, single


async def _idle(pool: Pool, connections: int) -> list[int]:
    """Leave so many connections idle in the pool; the process ids at their other ends."""
    ids = []
    async with asyncio.timeout(10):
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
