"""Sessions: a user signs in with a password, and a random token in a cookie speaks for it from then on.

A session ends 12 hours after it was last used, 7 days after it began, when its user signs out, changes its password or
is removed. Whatever process serves a request asks the database, so it ends everywhere at once.
"""

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from caravan.access import attempts, audit
from caravan.access.attempts import Attempt
from caravan.access.audit import Actor, ActorKind
from caravan.access.passwords import check_new, hash_password, is_password
from caravan.access.users import Role, email_of
from caravan.engine.engine import Engine
from caravan.errors import InvalidInput, SignInRefused, Unauthorized
from caravan.store import sessions as store
from caravan.store import users
from caravan.store.users import Credentials

IDLE = timedelta(hours=12)
AGE = timedelta(days=7)
_NOTED = timedelta(minutes=1)  # how exactly it is known when a session was last used
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Visitor:
    """The user that a session speaks for."""

    user: int
    email: str
    roles: dict[int, Role]  # by customer
    names: dict[int, str]  # of the same customers
    is_operator: bool
    must_change_password: bool


async def sign_in(engine: Engine, email: str, password: str, address: str) -> str:
    """Open a session; its token. `address` is the client's.

    Raises `SignInRefused`, with the same words and after the same time for an unknown user as for a wrong password, and
    `TooManyAttempts`.
    """
    attempt = Attempt.of(_name(email), address)
    await attempts.begin(engine.pool, attempt, engine.clock.now())
    known = await _check(engine, email, password)
    token = await _open(engine, known, _name(email), "sign_in", address)
    await attempts.succeed(engine.pool, attempt)
    return token


async def visitor_of(engine: Engine, token: str | None, *, in_use: bool = True) -> Visitor | None:
    """The user that a token speaks for; None if there is no such session, or if it has ended.

    With `in_use` it counts as used; a page that asks by itself, with no person at it, passes False.
    """
    if token is None:
        return None
    now, digest = engine.clock.now(), digest_of(token)
    async with engine.pool.connection() as connection:
        found = await store.session(connection, digest, now - IDLE, now - AGE)
        if found is None:
            return None
        if in_use and now - found["used_at"] >= _NOTED:
            await store.use_session(connection, digest, now)
        roles = await store.roles_of(connection, found["id"])
    return Visitor(
        found["id"],
        found["email"],
        {each["customer"]: Role(each["role"]) for each in roles},
        {each["customer"]: each["name"] for each in roles},
        found["is_operator"],
        found["must_change_password"],
    )


async def sign_out(engine: Engine, token: str | None, address: str | None = None) -> None:
    """End a session, by a call from `address`; nothing happens if it has ended."""
    visitor = await visitor_of(engine, token)
    if visitor is None or token is None:
        return
    async with engine.pool.connection() as connection:
        await store.delete_session(connection, digest_of(token))
        await audit.record(
            connection, _actor(visitor.email, address), "sign_out", f"user {visitor.email}", at=engine.clock.now()
        )


async def change_password(engine: Engine, token: str, old: str, new: str, address: str | None = None) -> str:
    """Set a password of the user's own. All its sessions end, and the token of a new one is returned. `address` is the
    client's.

    Raises `Unauthorized` if the session has ended, `SignInRefused` if `old` is wrong, `TooManyAttempts`, and
    `InvalidInput` if `new` can't be taken.
    """
    visitor = await visitor_of(engine, token)
    if visitor is None:
        raise Unauthorized("This session has ended; sign in again.")
    check_new(new, visitor.email)
    if new == old:
        raise InvalidInput("The new password has to be another one.")
    attempt = Attempt.of(visitor.email, None)
    await attempts.begin(engine.pool, attempt, engine.clock.now())
    known = await _check(engine, visitor.email, old)
    hashed = await hash_password(new)
    async with engine.pool.connection() as connection:
        if not await users.set_password(connection, known.id, hashed, must_change=False, known=known.password):
            raise SignInRefused
        await store.delete_sessions_of(connection, known.id)
    changed = Credentials(known.id, hashed, False)
    fresh = await _open(engine, changed, visitor.email, "change_password", address)
    await attempts.succeed(engine.pool, attempt)
    return fresh


async def _check(engine: Engine, email: str, password: str) -> Credentials:
    """The user of this address and password. Raises `SignInRefused`; a hash is verified in any case."""
    known = None
    with suppress(InvalidInput):
        stored = email_of(email)
        async with engine.pool.connection() as connection:
            known = await users.credentials(connection, stored)
    if not await is_password(known.password if known else None, password) or known is None:
        raise SignInRefused
    return known


async def _open(engine: Engine, known: Credentials, email: str, act: str, address: str | None) -> str:
    """Open a session, under `act` in the audit log. Raises `SignInRefused` if the user is gone meanwhile."""
    token, now = secrets.token_urlsafe(_TOKEN_BYTES), engine.clock.now()
    async with engine.pool.connection() as connection:
        await store.delete_ended(connection, now - IDLE, now - AGE)
        if not await store.add_session(connection, digest_of(token), known.id, known.password, now):
            raise SignInRefused
        await audit.record(connection, _actor(email, address), act, f"user {email}", at=now)
    return token


def _name(email: str) -> str:
    """The address as it is stored, or, if it can't be one, as it was given: it is counted all the same."""
    try:
        return email_of(email)
    except InvalidInput:
        return email


def _actor(email: str, address: str | None) -> Actor:
    return Actor(ActorKind.USER, email, None, address)


def digest_of(token: str) -> bytes:
    """What a session is known by in the database."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
