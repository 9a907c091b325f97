"""Messages that are kept instead of being sent, in PostgreSQL, so that every worker and every door of an installation
has the same ones.

Only the newest are kept: a batch of a million mails must not fill the database of somebody who tries it out.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Self

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, lazy_pool, row, rows

_Q = sql.load("caravan.store", "sandbox.sql")
_TRIM_EVERY = 500  # messages of one process


@dataclass(frozen=True, slots=True)
class Kept:
    """One message, as it would have gone out."""

    sender: str
    recipient: str
    content: bytes
    batch: str | None = None


class SandboxStore:
    """Keeps messages of one channel, the newest `most` of all. It has one connection, while it is used."""

    def __init__(self, url: str, channel: str, most: int) -> None:
        self._pool, self._channel, self._most = lazy_pool(url), channel, most
        self._untrimmed = 0

    async def __aenter__(self) -> Self:
        await self._pool.open(wait=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()

    async def add(self, messages: Sequence[Kept], begun: Callable[[], None]) -> list[int]:
        """Keep messages, durably once this returns; their numbers. `begun` is called when the database is there, before
        anything is written. Raises `psycopg.OperationalError`."""
        async with self._pool.connection() as connection:
            begun()
            found = await rows(
                connection,
                _Q.add,
                channel=self._channel,
                senders=[each.sender for each in messages],
                recipients=[each.recipient for each in messages],
                contents=[each.content for each in messages],
                batches=[each.batch for each in messages],
            )
            await self._trim(connection, len(messages))
        return [int(each["id"]) for each in found]

    async def _trim(self, connection: Connection, added: int) -> None:
        self._untrimmed += added
        if self._untrimmed >= min(_TRIM_EVERY, self._most):
            await connection.execute(_Q.trim, {"most": self._most})
            self._untrimmed = 0


async def trim_old(connection: Connection, days: int) -> None:
    """Forget messages that are older than so many days."""
    await connection.execute(_Q.trim_old, {"days": days})


@dataclass(frozen=True, slots=True)
class Page:
    """Which messages are asked for, at most `limit`: those with numbers below `before`, to the address `recipient`, to
    addresses that contain `containing`, of a batch, of some customers; what is None takes all."""

    limit: int = 50
    before: int | None = None
    recipient: str | None = None
    containing: str | None = None
    batch: str | None = None
    customers: tuple[int, ...] | None = None


async def page(connection: Connection, wanted: Page) -> list[DictRow]:
    """The newest messages first, with the beginning of each (`head`)."""
    values = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    if wanted.customers is not None:
        values["customers"] = list(wanted.customers)
    return await rows(connection, _Q.page, **values)


async def get(connection: Connection, number: int, customers: Collection[int] | None) -> DictRow | None:
    """One message with its content, if it is of one of these customers; None: of whomever."""
    return await row(connection, _Q.get, id=number, customers=None if customers is None else list(customers))


async def forget(connection: Connection, batches: Sequence[str]) -> None:
    """Forget the messages of these batches."""
    await connection.execute(_Q.forget, {"batches": list(batches)})


async def count(connection: Connection) -> int:
    """How many messages are kept."""
    found = await row(connection, _Q.count)
    assert found is not None
    return int(found["messages"])


async def clear(connection: Connection) -> int:
    """Forget all messages; how many."""
    found = await row(connection, _Q.clear)
    assert found is not None
    return int(found["messages"])
