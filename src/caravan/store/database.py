"""Connections to PostgreSQL."""

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from caravan.errors import Unavailable
from caravan.store import sql

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]
#: What is raised when the database, or the connection to it, went away; also because we were silent for too long.
AWAY = (OperationalError, IdleInTransactionSessionTimeout)

_Q = sql.load("caravan.store", "database.sql")
_PATIENCE = 10.0  # seconds that a caller waits for a connection while the database is away
_SILENCE = "20s"  # after which a transaction whose client has fallen silent is undone, and its locks are free
_CONNECT_OPTIONS: dict[str, Any] = {
    # A statement that a connection keeps prepared fails on it for good once a migration has added a column to what it
    # selects; and versions run side by side.
    "prepare_threshold": None,
    # A host that vanishes without a word is missed after some 25 seconds, not hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}


@asynccontextmanager
async def connect(url: str, *, size: int = 10) -> AsyncIterator[Pool]:
    """A pool of at most `size` connections to the database at `url`, closed at the end.

    Raises `Unavailable` when the database does not answer.
    """
    pool: Pool = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        open=False,
        kwargs={"row_factory": dict_row, **_CONNECT_OPTIONS},
        configure=_configure,
        check=_check,
        timeout=_PATIENCE,
        # Its attempts grow apart; giving up soon lets the next caller begin anew, so a database is missed
        # no longer than it is away.
        reconnect_timeout=_PATIENCE,
    )
    try:
        await pool.open(wait=True, timeout=30)
    except Exception as error:
        await pool.close()
        raise Unavailable(f"PostgreSQL does not answer: {error}") from error
    try:
        yield pool
    finally:
        await pool.close()


async def _configure(connection: Connection) -> None:
    """The same from the server's side."""
    await connection.execute(_Q.set_idle_timeout, {"silence": _SILENCE})
    await connection.commit()


async def _check(connection: Connection) -> None:
    """Raise unless the server is still at the other end.

    A server that ends closes its connections, and the socket knows. So only where there is something to be read from
    an idle connection, it is asked: a round trip for each would be a third of what a call takes.
    """
    socket = select.poll()
    socket.register(connection.pgconn.socket, select.POLLIN)
    if socket.poll(0):
        await AsyncConnectionPool.check_connection(connection)


@asynccontextmanager
async def single(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for a statement that stands alone: it needs no round trips to begin a transaction and to end it."""
    async with pool.connection() as connection:
        await connection.set_autocommit(True)
        try:
            yield connection
        finally:
            await connection.set_autocommit(False)


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Connection]:
    """A connection that only reads, and sees the database at one moment: what it reads fits together."""
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("set transaction isolation level repeatable read, read only")
        yield connection


async def rows(connection: Connection, query: str, **values: Any) -> list[DictRow]:
    """All rows of a query."""
    return await (await connection.execute(query, values)).fetchall()


async def row(connection: Connection, query: str, **values: Any) -> DictRow | None:
    """The first row of a query, or None."""
    return await (await connection.execute(query, values)).fetchone()


async def now(connection: Connection) -> datetime:
    """When the transaction began, by the database's clock."""
    found = await row(connection, _Q.now)
    assert found is not None
    moment: datetime = found["now"]
    return moment


async def answers(pool: Pool, seconds: float) -> bool:
    """Whether the database answers within so many seconds. Where it stands still, its connection is given up some
    seconds later."""
    try:
        async with asyncio.timeout(seconds), pool.connection(timeout=seconds) as connection:
            await connection.execute("select 1")
    except (OperationalError, TimeoutError):
        return False
    return True
