"""Connections to PostgreSQL."""

import asyncio
import select
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, OperationalError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict
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
_CONNECT_SECONDS = 5  # for one attempt to connect
_KNOCK_SECONDS = 6.0  # that a database which is about to start is waited for
_PAUSE = 0.25  # seconds between two attempts
#: What PostgreSQL says, in its English, where another attempt would get the same answer. With other languages it is
#: only told later.
_REFUSED = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied", "not permitted")
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


async def _knock(url: str) -> None:
    """Wait for the database's first answer, for `_KNOCK_SECONDS` at most: it may be about to start. Raises
    `Unavailable` at once for what does not pass: a wrong password, user, database or URL.

    The pool would try for as long as it is given in any case, and log each attempt.
    """
    if not _is_address(url):
        raise Unavailable(
            "CARAVAN_DATABASE_URL is no address of a PostgreSQL; it looks like postgresql://user@host:5432/database."
        )
    deadline = time.monotonic() + _KNOCK_SECONDS
    while True:
        try:
            connection = await AsyncConnection.connect(url, connect_timeout=_CONNECT_SECONDS)
        except OperationalError as error:
            if time.monotonic() + _PAUSE > deadline or any(word in str(error) for word in _REFUSED):
                raise Unavailable(_away(url, error)) from None
            await asyncio.sleep(_PAUSE)
        else:
            return await connection.close()


def _is_address(url: str) -> bool:
    """Whether it can be an address at all. What libpq says of one that can't may hold its password."""
    try:
        ports = str(conninfo_to_dict(url).get("port") or "5432")
    except ProgrammingError:
        return False
    return all(not port or port.isdigit() for port in ports.split(","))


def _away(url: str, error: OperationalError) -> str:
    """One sentence without the password: which server does not answer, and why in the last words of the error."""
    address = conninfo_to_dict(url)
    where = ":".join(str(address[key]) for key in ("host", "port") if address.get(key))
    why = " ".join(str(error).splitlines()[0].split()).rpartition("failed: ")[2].removeprefix("FATAL: ").rstrip(".")
    return f"PostgreSQL at {where or 'the default address'} can't be used: {why}."


@asynccontextmanager
async def connect(url: str, *, size: int = 10) -> AsyncIterator[Pool]:
    """A pool of at most `size` connections to the database at `url`, closed at the end.

    Raises `Unavailable` when the database does not answer within some seconds, or refuses us.
    """
    await _knock(url)
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


def lazy_pool(url: str) -> Pool:
    """A pool, not open yet, of one connection, which is made when it is first needed and given up when it idles."""
    return AsyncConnectionPool(
        url,
        min_size=0,
        max_size=1,
        max_idle=30,
        open=False,
        kwargs={"row_factory": dict_row, **_CONNECT_OPTIONS},
        configure=_configure,
        check=_check,
        timeout=_PATIENCE,
        reconnect_timeout=_PATIENCE,
    )


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
