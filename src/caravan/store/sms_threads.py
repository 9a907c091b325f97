"""Whom a phone number that answers belongs to: the last text message to it, from each sender of each customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "sms_threads.sql")


@dataclass(frozen=True, slots=True)
class Written:
    """One message that goes out."""

    number: str
    sender: str  # empty for one that the gateway chooses
    contact: str
    key: str


@dataclass(frozen=True, slots=True)
class Thread:
    """The last message to a number from one sender of a customer."""

    customer: int
    sender: str
    contact: str
    key: str
    at: datetime


async def note(connection: Connection, customer: int, written: Sequence[Written]) -> None:
    """These are the last ones now."""
    columns = {
        "numbers": [each.number for each in written],
        "senders": [each.sender for each in written],
        "contacts": [each.contact for each in written],
        "keys": [each.key for each in written],
    }
    await connection.execute(_Q.note, {"customer": customer, **columns})


async def of_number(connection: Connection, number: str) -> list[Thread]:
    """All threads with a number, the newest first."""
    found = await rows(connection, _Q.of_number, number=number)
    return [Thread(each["customer_id"], each["sender"], each["contact"], each["key"], each["at"]) for each in found]


async def forget(connection: Connection, before: datetime) -> None:
    """Forget threads in which nothing was written since."""
    await connection.execute(_Q.forget, {"before": before})


async def only_customer(connection: Connection) -> int | None:
    """The customer of an installation that has just one."""
    found = await row(connection, _Q.only_customer)
    return None if found is None else int(found["id"])
