"""Customers and their tokens."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import DictRow

from caravan.errors import Conflict, InvalidInput, NotFound
from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "customers.sql")


@dataclass(frozen=True, slots=True)
class Customer:
    """A tenant; its number stands in every path."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is listed: without its secret."""

    id: str
    customer: int
    name: str
    created_at: datetime
    created_by: str | None = None  # a user, or the machine's user that gave the command
    used_at: datetime | None = None  # to the minute; None: not yet


async def add_customer(connection: Connection, name: str, now: datetime) -> int:
    """Make a customer and return its number. Raises `Conflict` if there is one of this name, in whatever case, and
    `InvalidInput` for a name of nothing but blanks."""
    name = " ".join(name.split())
    if not name:
        raise InvalidInput("A customer needs a name.")
    async with connection.transaction():
        await connection.execute(_Q.lock_customers)
        if (same := await row(connection, _Q.customer_of_name, name=name)) is not None:
            raise Conflict(f"There is a customer {same['name']!r} already: {same['id']}.")
        made = await row(connection, _Q.add_customer, name=name, now=now)
    assert made is not None
    return int(made["id"])


async def list_customers(connection: Connection) -> list[DictRow]:
    """All customers, oldest first: id, name, created_at, retention_days (None: by the setting), tokens (how many)."""
    return await rows(connection, _Q.customers)


async def delete_customer(connection: Connection, customer: int) -> list[str]:
    """Delete a customer with every row that belongs to it, and the jobs that wait; the ids of its batches, whose files
    are left. Nothing happens if there is no such customer."""
    async with connection.transaction():
        await connection.execute(_Q.lock_customer, {"customer": customer})
        await connection.execute(_Q.delete_jobs, {"customer": customer})
        deleted = await rows(connection, _Q.delete_batches, customer=customer)
        await connection.execute(_Q.delete_customer, {"customer": customer})
    return [str(each["id"]) for each in deleted]


async def first_customer(connection: Connection) -> Customer | None:
    """The oldest customer, if there is any."""
    found = await row(connection, _Q.first_customer)
    return Customer(**found) if found else None


async def has_customer(connection: Connection, customer: int) -> bool:
    """Whether this number belongs to a customer."""
    found = await row(connection, _Q.has_customer, customer=customer)
    return bool(found and found["there"])


async def customer_name(connection: Connection, customer: int) -> str:
    """The name of a customer. Raises `NotFound`."""
    found = await row(connection, _Q.customer_name, customer=customer)
    if found is None:
        raise NotFound(f"There is no customer {customer}.")
    return str(found["name"])


async def retention_of(connection: Connection, customer: int) -> int | None:
    """For how many days the contacts of this customer's ended batches are kept; None: as long as the setting says."""
    found = await row(connection, _Q.retention_of, customer=customer)
    return found["retention_days"] if found else None


async def set_retention(connection: Connection, customer: int, days: int | None) -> None:
    """Keep the contacts of this customer's ended batches for so many days; None: for as long as the setting says."""
    await connection.execute(_Q.set_retention, {"customer": customer, "days": days})


async def create_token(connection: Connection, customer: int, name: str, now: datetime, by: str | None = None) -> str:
    """Make a token like `crv_<id>_<secret>`. Only its digest is stored: this is the one time it can be read. `by`: who
    made it."""
    identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    values = {"id": identity, "customer": customer, "name": name, "digest": _digest(secret), "now": now, "by": by}
    await connection.execute(_Q.add_token, values)
    return f"crv_{identity}_{secret}"


async def list_tokens(connection: Connection, customer: int | None = None) -> list[Token]:
    """The tokens of a customer, or of all."""
    return [Token(**each) for each in await rows(connection, _Q.tokens, customer=customer)]


async def revoke_token(connection: Connection, token: str, customer: int | None = None) -> Token | None:
    """Delete a token of a customer, or of any, named by its id or by all of it; what was deleted, if anything. The API
    may take it for five seconds more."""
    identity = token.split("_")[1] if token.startswith("crv_") else token
    found = None if "\0" in identity else await row(connection, _Q.delete_token, id=identity, customer=customer)
    return Token(**found) if found is not None else None


async def get_token(connection: Connection, customer: int, token: str) -> Token | None:
    """The token, if it is one of this customer's; the secret is compared in constant time."""
    kind, _, rest = token.partition("_")
    identity, _, secret = rest.partition("_")
    if kind != "crv" or not token.isascii() or "\0" in token:
        return None
    found = await row(connection, _Q.token, id=identity, customer=customer)
    known = bytes(found.pop("digest")) if found else b""
    return Token(**found) if hmac.compare_digest(_digest(secret), known) and found is not None else None


async def use_token(connection: Connection, token: str, now: datetime, unless_since: datetime) -> None:
    """Note that the token of this id is in use, unless that was noted after `unless_since`."""
    await connection.execute(_Q.use_token, {"id": token, "now": now, "since": unless_since})


async def shared_secret(connection: Connection, name: str) -> str:
    """A random secret that all processes on this database share, made by the first one that asks."""
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
