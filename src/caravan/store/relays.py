"""Relays beside that of CARAVAN_SMTP_URL, by name. Their URLs are elsewhere: here is only where."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "relays.sql")


@dataclass(frozen=True, slots=True)
class NamedRelay:
    """One relay."""

    customer: int | None  # None: of all customers
    name: str
    url_from: str  # env:NAME or file:PATH
    weight: int  # its part of what names no relay; 0: none
    fallback: str | None  # the relay that is taken while this one's breaker is open

    @property
    def key(self) -> str:
        """What it is called in paces and breakers: names of different customers are different relays."""
        return self.name if self.customer is None else f"{self.customer}/{self.name}"


async def of_customer(connection: Connection, customer: int) -> dict[str, NamedRelay]:
    """The relays that a customer may send by, by name; its own stands for one of all with the same name."""
    found = [_relay(each) for each in await rows(connection, _Q.of_customer, customer=customer)]
    return {each.name: each for each in reversed(found)}


async def all_relays(connection: Connection, customer: int | None = None) -> list[NamedRelay]:
    """Those that a customer may send by, or all of the installation (None)."""
    return [_relay(each) for each in await rows(connection, _Q.list, customer=customer)]


async def add(connection: Connection, relay: NamedRelay, now: datetime) -> None:
    """Add a relay, or put it in place of that of the same name."""
    values = {"customer": relay.customer, "name": relay.name, "url_from": relay.url_from, "weight": relay.weight}
    await connection.execute(_Q.add, {**values, "fallback": relay.fallback, "now": now})


async def remove(connection: Connection, customer: int | None, name: str) -> bool:
    """Remove a relay; False if there is none of this name."""
    return await row(connection, _Q.remove, customer=customer, name=name) is not None


def _relay(found: DictRow) -> NamedRelay:
    return NamedRelay(found["customer_id"], found["name"], found["url_from"], found["weight"], found["fallback"])
