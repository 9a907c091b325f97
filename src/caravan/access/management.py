"""Who manages users and tokens, and what: each act with its line in the audit log, in the same transaction.

The console and the command line both come here. A customer's owner reaches the users that have no role for a customer
that is not its own: whoever could set the password of another's user would get at that other's contacts.
"""

import getpass
import os
from dataclasses import dataclass

from caravan.access import audit, users
from caravan.access.audit import Actor, ActorKind
from caravan.access.users import Role, email_of
from caravan.clock import Clock
from caravan.errors import Forbidden, InvalidInput, NotFound
from caravan.store import customers, sessions
from caravan.store import users as store
from caravan.store.customers import Token
from caravan.store.database import Connection

_LONGEST = 100  # characters in a token's name


@dataclass(frozen=True, slots=True)
class Manager:
    """Who acts, and for which customers it is an owner. None: for all, as the operator is."""

    actor: Actor
    owns: frozenset[int] | None


def machine_user(customer: int | None) -> Actor:
    """The user of this machine that this process belongs to, acting on a customer or on the installation."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = f"uid {os.getuid()}"
    return Actor(ActorKind.COMMAND, name, customer)


async def give_role(connection: Connection, manager: Manager, email: str, customer: int, role: Role) -> str | None:
    """See `users.add_user`: the first password of a user that is new. Raises also `Forbidden` for a user of other
    customers, and for the last owner of this one."""
    email = email_of(email)
    async with connection.transaction():
        await store.lock_user(connection, email)
        if role is not Role.OWNER:
            await _check_last_owner(connection, manager, email, customer)
        password = await users.add_user(connection, email, customer, role)
        await _check_reach(connection, manager, email)  # afterwards: another customer may just have added it
        act = "add_user" if password is not None else "set_role"
        await audit.record(connection, manager.actor, act, f"user {email}", {"role": role})
    return password


async def take_role(connection: Connection, manager: Manager, email: str, customer: int) -> None:
    """See `users.remove_user`. Raises also `Forbidden` for the last owner of the customer."""
    email = email_of(email)
    async with connection.transaction():
        await store.lock_user(connection, email)
        await _check_last_owner(connection, manager, email, customer)
        await users.remove_user(connection, email, customer)
        await audit.record(connection, manager.actor, "remove_user", f"user {email}")


async def reset_password(connection: Connection, manager: Manager, email: str) -> str:
    """See `users.reset_password`: a new first password. Raises also `Forbidden` for a user of other customers."""
    email = email_of(email)
    async with connection.transaction():
        await _check_reach(connection, manager, email)
        password = await users.reset_password(connection, email)
        await audit.record(connection, manager.actor, "reset_password", f"user {email}")
    return password


async def end_sessions(connection: Connection, manager: Manager, email: str) -> None:
    """Sign a user out everywhere. Raises `NotFound`, and `Forbidden` for a user of other customers."""
    email = email_of(email)
    async with connection.transaction():
        await _check_reach(connection, manager, email)
        known = await store.lock_user(connection, email)
        if known is None:
            raise NotFound(f"There is no user {email}.")
        await sessions.delete_sessions_of(connection, known[0])
        await audit.record(connection, manager.actor, "end_sessions", f"user {email}")


async def check_role(connection: Connection, email: str, customer: int) -> None:
    """Raise `NotFound` for a user that has no role for the customer."""
    if not await store.has_role(connection, email_of(email), customer):
        raise NotFound(f"There is no user {email} here.")


async def create_token(connection: Connection, manager: Manager, customer: int, name: str, clock: Clock) -> str:
    """A new token of a customer, which can be read this one time. Raises `InvalidInput` for a name that is none, and
    `NotFound` if there is no such customer."""
    name = " ".join(name.split())
    if not 0 < len(name) <= _LONGEST or not name.isprintable():
        raise InvalidInput(f"A token needs a name of 1 to {_LONGEST} characters that says what it is for.")
    async with connection.transaction():
        if not await customers.has_customer(connection, customer):
            raise NotFound(f"There is no customer {customer}; `caravan customers add NAME` makes one.")
        token = await customers.create_token(connection, customer, name, clock.now(), manager.actor.name)
        await audit.record(connection, manager.actor, "create_token", _token(token.split("_")[1]), {"name": name})
    return token


async def revoke_token(connection: Connection, manager: Manager, token: str, customer: int | None) -> Token:
    """Delete a token of a customer, or of any, named by its id or by all of it; what it was. Raises `NotFound`."""
    async with connection.transaction():
        found = await customers.revoke_token(connection, token, customer)
        if found is None:
            raise NotFound("There is no such token; `caravan tokens list` shows the ids of all.")
        actor = manager.actor.on(found.customer)
        await audit.record(connection, actor, "revoke_token", _token(found.id), {"name": found.name})
    return found


def _token(identity: str) -> str:
    return f"token {identity}"


async def _check_reach(connection: Connection, manager: Manager, email: str) -> None:
    """Raise `Forbidden` unless all that the user has a role for is the manager's own. The user stays as it is until the
    transaction ends."""
    known = await store.lock_user(connection, email)
    if manager.owns is None or known is None:
        return
    user, is_operator = known
    roles = await sessions.roles_of(connection, user)
    if is_operator or not {each["customer"] for each in roles} <= manager.owns:
        raise Forbidden(
            f"{email} has an account that is not only yours to manage; ask the operator of this installation."
        )


async def _check_last_owner(connection: Connection, manager: Manager, email: str, customer: int) -> None:
    """Raise `Forbidden` for a customer's last owner, unless an operator acts, who is owner of every customer."""
    if manager.owns is not None and await store.lock_owners(connection, customer) == [email]:
        raise Forbidden(f"{email} is the last owner here; make another user owner first.")
