"""Customers and their tokens."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "customers.sql")


@dataclass(frozen=True, slots=True)
class Customer:
    """A tenant; its number stands in every path."""

    id: int
    name: str


async def add_customer(connection: Connection, name: str, now: datetime) -> int:
    """Make a customer and return its number."""
    made = await row(connection, _Q.add_customer, name=name, now=now)
    assert made is not None
    return int(made["id"])


async def first_customer(connection: Connection) -> Customer | None:
    """The oldest customer, if there is any."""
    found = await row(connection, _Q.first_customer)
    return Customer(**found) if found else None


async def has_customer(connection: Connection, customer: int) -> bool:
    """Whether this number belongs to a customer."""
    found = await row(connection, _Q.has_customer, customer=customer)
    return bool(found and found["there"])


async def set_retention(connection: Connection, customer: int, days: int | None) -> None:
    """Keep the contacts of this customer's ended batches for so many days; None: for as long as the setting says."""
    await connection.execute(_Q.set_retention, {"customer": customer, "days": days})


async def create_token(connection: Connection, customer: int, name: str, now: datetime) -> str:
    """Make a token like `crv_<id>_<secret>`. Only its digest is stored: this is the one time it can be read."""
    identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    values = {"id": identity, "customer": customer, "name": name, "digest": _digest(secret), "now": now}
    await connection.execute(_Q.add_token, values)
    return f"crv_{identity}_{secret}"


async def holds_token(connection: Connection, customer: int, token: str) -> bool:
    """Whether `token` is one of this customer's; the secret is compared in constant time."""
    kind, _, rest = token.partition("_")
    identity, _, secret = rest.partition("_")
    if kind != "crv" or not token.isascii() or "\0" in token:
        return False
    found = await row(connection, _Q.token, id=identity, customer=customer)
    known = bytes(found["digest"]) if found else b""
    return hmac.compare_digest(_digest(secret), known)


async def shared_secret(connection: Connection, name: str) -> str:
    """A random secret that all processes on this database share, made by whoever asks first."""
    await connection.execute(_Q.keep_secret, {"name": name, "value": secrets.token_urlsafe(32)})
    found = await row(connection, _Q.secret, name=name)
    assert found is not None
    return str(found["value"])


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that signs what is made from `since` on; None: from the beginning."""

    value: str
    since: datetime | None


async def signing_secrets(connection: Connection, name: str) -> list[Secret]:
    """All secrets that ever signed under this name, the newest first; there is always one from the beginning."""
    await shared_secret(connection, name)
    return [Secret(**found) for found in await rows(connection, _Q.signing_secrets, name=name)]


async def rotate_secret(connection: Connection, name: str, since: datetime) -> None:
    """Sign with a new secret what is made from `since` on. What older ones signed can still be read."""
    await shared_secret(connection, name)
    values = {"name": name, "value": secrets.token_urlsafe(32), "since": since}
    await connection.execute(_Q.rotate_secret, values)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
