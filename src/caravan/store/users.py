"""Users of the console, and what each is to which customer."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import DictRow

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "users.sql")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a password is checked against: its Argon2id hash."""

    id: int
    password: str
    must_change_password: bool


async def lock_users(connection: Connection) -> None:
    """Until the transaction ends, no other makes a user."""
    await connection.execute(_Q.lock_users)


async def has_users(connection: Connection) -> bool:
    """Whether there is any user."""
    found = await row(connection, _Q.has_users)
    return bool(found and found["there"])


async def add_user(
    connection: Connection, email: str, password: str, now: datetime, *, operator: bool = False
) -> int | None:
    """Make a user with the hash of a first password, which has to be changed; None if the address is taken."""
    values = {"email": email, "password": password, "operator": operator, "now": now}
    made = await row(connection, _Q.add_user, **values)
    return int(made["id"]) if made else None


async def lock_user(connection: Connection, email: str) -> tuple[int, bool] | None:
    """A user's number and whether it is the operator, held until the transaction ends; None: there is no such user."""
    found = await row(connection, _Q.lock_user, email=email)
    return (int(found["id"]), bool(found["is_operator"])) if found else None


async def has_role(connection: Connection, email: str, customer: int) -> bool:
    """Whether the user of this address has a role for a customer."""
    found = await row(connection, _Q.has_role, email=email, customer=customer)
    return bool(found and found["there"])


async def lock_owners(connection: Connection, customer: int) -> list[str]:
    """The addresses of a customer's owners but for the operator, who stay so until the transaction ends."""
    return [each["email"] for each in await rows(connection, _Q.lock_owners, customer=customer)]


async def credentials(connection: Connection, email: str) -> Credentials | None:
    """What the user's password is checked against, if there is such a user."""
    found = await row(connection, _Q.credentials, email=email)
    return Credentials(**found) if found else None


async def set_role(connection: Connection, user: int, customer: int, role: str) -> None:
    """Give a user its role for a customer, instead of one that it had."""
    await connection.execute(_Q.set_role, {"user": user, "customer": customer, "role": role})


async def users(connection: Connection, customer: int | None) -> list[DictRow]:
    """Users of a customer, or of all: id, email, customer, role, is_operator, must_change_password, created_at,
    seen_at (None: not signed in), a row for each user and customer."""
    return await rows(connection, _Q.users, customer=customer)


async def delete_role(connection: Connection, user: int, customer: int) -> bool:
    """Take a user's role for a customer, and the user with its sessions if that was the last; whether it had one."""
    found = await row(connection, _Q.delete_role, user=user, customer=customer)
    await connection.execute(_Q.delete_user_without_role, {"user": user})
    return found is not None


async def delete_roles_of(connection: Connection, customer: int) -> None:
    """Take all roles for a customer, and the users that have no other."""
    async with connection.transaction():
        await connection.execute(_Q.lock_users_of, {"customer": customer})
        await connection.execute(_Q.delete_users_of_only, {"customer": customer})
        await connection.execute(_Q.delete_roles_of, {"customer": customer})


async def set_password(
    connection: Connection, user: int, password: str, *, must_change: bool, known: str | None = None
) -> bool:
    """Set a password's hash; False if the user is gone, or if `known` is given and no longer the hash that is set."""
    values = {"user": user, "password": password, "must_change": must_change, "known": known}
    return await row(connection, _Q.set_password, **values) is not None
