"""Users of the console: people who sign in, each with a role for one customer or several."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from caravan.access.passwords import first_password, hash_password
from caravan.errors import Conflict, InvalidInput, NotFound
from caravan.settings import is_email
from caravan.store import customers, database, sessions
from caravan.store import users as store
from caravan.store.database import Connection

_SHOWN = 254  # characters of a wrong address


class Role(StrEnum):
    """What a user may do with a customer; each may do what those before it may."""

    VIEWER = "viewer"  # reads
    EDITOR = "editor"  # also starts, steers and publishes
    OWNER = "owner"  # also manages users, tokens and settings

    def allows(self, needed: "Role") -> bool:
        """Whether a user of this role may do what needs the role `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class User:
    """A user as it is listed, for one customer."""

    id: int
    email: str
    customer: int | None  # None: an operator where there is no customer yet
    role: Role
    is_operator: bool
    must_change_password: bool
    created_at: datetime
    seen_at: datetime | None  # when a session of it was last used, to the minute; None: it has none


def email_of(text: str) -> str:
    """An e-mail address as it is stored: in lower case, without blanks around it. Raises `InvalidInput`."""
    email = unicodedata.normalize("NFC", text.strip().lower())
    if not is_email(email) or not _is_text(email):
        raise InvalidInput(f"{text[:_SHOWN]!r} is no e-mail address; it looks like anna@example.com.")
    return email


async def add_user(connection: Connection, email: str, customer: int, role: Role) -> str | None:
    """Give the user of this address a role for a customer, instead of one that it had for it; a user that is new is
    made, and its first password returned, which is stored nowhere and has to be changed.

    Raises `InvalidInput`, `NotFound` if there is no such customer, and `Conflict` for the operator, which is owner of
    every customer.
    """
    email, password = email_of(email), first_password()
    async with connection.transaction():
        if not await customers.has_customer(connection, customer):
            raise NotFound(f"There is no customer {customer}.")
        now = await database.now(connection)
        made = await store.add_user(connection, email, await hash_password(password), now)
        user, is_operator = await _lock(connection, email)
        if is_operator:
            raise Conflict(f"{email} is this installation's operator, and so owner of every customer.")
        await store.set_role(connection, user, customer, role)
    return password if made is not None else None


async def users_of(connection: Connection, customer: int | None) -> list[User]:
    """A customer's users by their addresses, its operator among them; None: those of all customers."""
    found = await store.users(connection, customer)
    return [User(**{**each, "role": Role(each["role"])}) for each in found]


async def remove_user(connection: Connection, email: str, customer: int) -> None:
    """Take a user's role for a customer. A user without another one is deleted, and its sessions end.

    Raises `NotFound`, and `Conflict` for the operator.
    """
    email = email_of(email)
    async with connection.transaction():
        user, is_operator = await _lock(connection, email)
        if is_operator:
            raise Conflict(f"{email} is this installation's operator, and can't be removed.")
        if not await store.delete_role(connection, user, customer):
            raise NotFound(f"{email} has no role for customer {customer}.")


async def reset_password(connection: Connection, email: str) -> str:
    """A new first password for a user that lost its own; all its sessions end. Raises `NotFound`."""
    email, password = email_of(email), first_password()
    async with connection.transaction():
        user, _ = await _lock(connection, email)
        await store.set_password(connection, user, await hash_password(password), must_change=True)
        await sessions.delete_sessions_of(connection, user)
    return password


async def first_user(connection: Connection, email: str) -> tuple[str, str] | None:
    """Make the installation's operator where there is no user yet: its address and first password, which has to be
    changed. None where there is a user."""
    if await store.has_users(connection):
        return None
    email, password = email_of(email), first_password()
    hashed = await hash_password(password)
    async with connection.transaction():
        await store.lock_users(connection)
        if await store.has_users(connection):
            return None
        await store.add_user(connection, email, hashed, await database.now(connection), operator=True)
    return email, password


async def _lock(connection: Connection, email: str) -> tuple[int, bool]:
    """A user's number and whether it is the operator. Raises `NotFound`."""
    found = await store.lock_user(connection, email)
    if found is None:
        raise NotFound(f"There is no user {email}.")
    return found


def _is_text(email: str) -> bool:
    """Whether PostgreSQL can store it: half of a surrogate pair is no text."""
    try:
        email.encode()
    except UnicodeEncodeError:
        return False
    return True
