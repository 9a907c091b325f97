"""Who has entered journeys that do not let everybody in again: a row a contact and journey, by a hash of the id."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from uuid import UUID

import pyarrow as pa
from psycopg.errors import UniqueViolation
from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, read_csv

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "entries.sql")
NEVER = datetime(1, 1, 2, tzinfo=UTC)
#: The contacts of a file that may not enter, and how they had entered before: by which batch, and when, in UTC.
REFUSED = pa.schema([("line", pa.int64()), ("batch", pa.string()), ("entered_at", pa.string())])


@dataclass(frozen=True, slots=True)
class Entrance:
    """Into which journey contacts enter, by which batch, and under which rule."""

    customer: int
    journey: int
    batch: str
    now: datetime
    before: datetime = NEVER  # whoever entered until then may enter again
    until: datetime | None = None  # from when on this entry says nothing any more; None: when the batch has ended
    outside: bool = False  # whoever has left the journey may enter again
    force: bool = False  # everybody may

    def values(self) -> dict[str, object]:
        """For the queries."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Earlier:
    """How a contact had entered. `runs`: that batch has not ended."""

    contact: str
    batch: str
    entered_at: datetime
    runs: bool


def hashed(id: str) -> str:
    """How a contact is told in this table: the first half of a SHA-256, in hexadecimal digits."""
    return sha256(id.encode()).hexdigest()[:32]


async def offer(connection: Connection, candidates: Iterable[bytes]) -> None:
    """Who wants to enter, in the caller's transaction: pieces of lines with hash, tab and line number."""
    await connection.execute(_Q.create_candidates)
    await connection.execute(_Q.create_outside)
    async with connection.cursor() as cursor, cursor.copy(_Q.copy_candidates) as copy:
        for piece in candidates:
            await copy.write(piece)


async def of_others(connection: Connection, entrance: Entrance) -> dict[str, set[str]]:
    """The candidates (hashes) that entered by batches that have not ended, by batch."""
    found: dict[str, set[str]] = {}
    for each in await rows(connection, _Q.of_others, **entrance.values()):
        found.setdefault(each["batch_id"], set()).add(each["contact"].replace("-", ""))
    return found


async def let_out(connection: Connection, batch: str, contacts: Sequence[str]) -> None:
    """These contacts have left the journey, which they had entered by this batch."""
    async with connection.cursor() as cursor, cursor.copy(_Q.copy_outside) as copy:
        for each in contacts:
            await copy.write_row((each, batch))


async def enter(connection: Connection, entrance: Entrance) -> pa.Table:
    """Enter the candidates that may; those that may not come back, as rows of `REFUSED` by line.

    Of those that others enter in the same moment each is entered once: after them all are judged anew, and by then
    they are known.
    """
    await connection.execute(_Q.analyze)
    while True:
        await connection.execute(_Q.judge, entrance.values())
        try:
            async with connection.transaction():
                await _enter(connection, entrance)
        except (UniqueViolation, _Overtaken):
            await connection.execute(_Q.drop_judged)
        else:
            return await _refused(connection)


async def _refused(connection: Connection) -> pa.Table:
    async with connection.cursor() as cursor, cursor.copy(_Q.copy_refused) as copy:
        found = b"".join([bytes(piece) async for piece in copy])
    if not found:
        return REFUSED.empty_table()
    return read_csv(
        BytesIO(found),
        ReadOptions(column_names=REFUSED.names),
        ParseOptions(delimiter="\t"),
        ConvertOptions(column_types=REFUSED),
    )


class _Overtaken(Exception):
    """Another batch has entered some of those that were about to enter again."""


async def _enter(connection: Connection, entrance: Entrance) -> None:
    await connection.execute(_Q.enter_new, entrance.values())
    expected = await row(connection, _Q.count_again, **entrance.values())
    if expected and expected["contacts"]:
        entered = await connection.execute(_Q.enter_again, entrance.values())
        if entered.rowcount < expected["contacts"]:
            raise _Overtaken


async def found(connection: Connection, entrance: Entrance, contacts: Sequence[str]) -> dict[str, Earlier]:
    """How contacts (hashes) had entered, as far as that is known."""
    values = {**entrance.values(), "contacts": [UUID(each) for each in contacts]}
    found = await rows(connection, _Q.found, **values)
    earlier = [
        Earlier(each["contact"].replace("-", ""), each["batch_id"], each["entered_at"], each["runs"]) for each in found
    ]
    return {each.contact: each for each in earlier}


async def enter_singles(
    connection: Connection, entrance: Entrance, contacts: Sequence[str], left: Mapping[str, str]
) -> set[str]:
    """Enter those of these contacts (hashes) that may, and return them. `left` are contacts that have left the journey,
    with the batch by which they had entered it."""
    values = {
        **entrance.values(),
        "contacts": [UUID(each) for each in contacts],
        "left": [UUID(each) for each in left],
        "batches": list(left.values()),
    }
    return {each["contact"].replace("-", "") for each in await rows(connection, _Q.enter_singles, **values)}


async def waiting(connection: Connection, batch: str) -> set[str]:
    """The contacts (hashes) that wait to be gathered into a batch of singles."""
    return {hashed(each["contact"]) for each in await rows(connection, _Q.waits, batch=batch)}


async def forget(connection: Connection, now: datetime) -> None:
    """Delete what says nothing any more."""
    await connection.execute(_Q.forget, {"now": now})


async def forget_customer(connection: Connection, customer: int) -> None:
    """Delete all rows of a customer."""
    await connection.execute(_Q.forget_customer, {"customer": customer})
