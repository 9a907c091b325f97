"""What an operator asks of the installation: its queues, its workers, what is stuck, and its PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime

from caravan.store import sql
from caravan.store.database import Connection, row, rows
from caravan.store.queues import Queue

_Q = sql.load("caravan.store", "system.sql")


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """The jobs of one queue: those that could run now, that are scheduled for later, and that run. `oldest`: for how
    many seconds the first of those that could run has waited; None if there is none."""

    queue: str
    ready: int
    later: int
    doing: int
    oldest: float | None


@dataclass(frozen=True, slots=True)
class Running:
    """A job that a worker runs. `age`: seconds since the worker was heard; `running`: seconds since the job began."""

    worker: int
    age: float
    queue: str
    task: str
    batch: str | None
    customer: int | None
    running: float | None


@dataclass(frozen=True, slots=True)
class Stuck:
    """Contacts that only a retry by command takes up again."""

    customer: int
    batch: str
    step: str
    reason: str | None
    contacts: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Hindered:
    """A batch whose file can't be got or read just now."""

    customer: int
    batch: str
    hindrance: str


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """PostgreSQL: `connections` of all clients of the server, of which at most `most`; `own` to this database, of which
    `active` at work; `longest`: seconds for which the oldest transaction is open; `bytes` of this database."""

    version: str
    most: int
    connections: int
    own: int
    active: int
    longest: float | None
    bytes: int


async def queues(connection: Connection) -> list[QueueCounts]:
    """All queues that there are, in their order."""
    return [QueueCounts(**each) for each in await rows(connection, _Q.queues, queues=[str(each) for each in Queue])]


async def running(connection: Connection, limit: int) -> list[Running]:
    """Jobs that run, those of the most silent workers first."""
    return [Running(**each) for each in await rows(connection, _Q.running, limit=limit)]


async def stuck(connection: Connection, limit: int) -> list[Stuck]:
    """What is stuck, the oldest first."""
    return [Stuck(**each) for each in await rows(connection, _Q.stuck, limit=limit)]


async def hindered(connection: Connection, limit: int) -> list[Hindered]:
    """Batches whose file is in trouble, the oldest first."""
    return [Hindered(**each) for each in await rows(connection, _Q.hindered, limit=limit)]


async def database_state(connection: Connection) -> DatabaseState:
    """How PostgreSQL is."""
    found = await row(connection, _Q.database)
    assert found is not None
    return DatabaseState(**found)


async def schema(connection: Connection) -> int:
    """The number of the newest migration that the database has."""
    found = await row(connection, _Q.schema)
    assert found is not None
    return int(found["number"] or 0)
