"""Attempts to sign in are slowed, per user and per address, over all processes: the counts are in the database.

An attempt counts as failed before its password is checked, so that many at once are not checked before the first of
them has failed. One that succeeds takes it back.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Self

from caravan.backoff import Backoff
from caravan.errors import TooManyAttempts
from caravan.store import sessions
from caravan.store.database import Pool
from caravan.store.sessions import Failures

_REMEMBERED = timedelta(hours=24)  # after the last attempt


@dataclass(frozen=True, slots=True)
class Slowing:
    """So many failures are free; after each further one, the next attempt has to wait, ever longer."""

    free: int
    backoff: Backoff

    def until(self, failures: Failures) -> datetime:
        """When the next attempt may be made."""
        return failures.last_at + timedelta(seconds=self.backoff.delay(failures.count - self.free))


#: A user's delay stays short: whoever knows the address of a user could keep it from signing in.
_USER = Slowing(4, Backoff(first=1.0, factor=2.0, longest=60.0))
#: Many people may share an address.
_ADDRESS = Slowing(19, Backoff(first=1.0, factor=2.0, longest=900.0))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in as a user from an address: what each is counted under."""

    user: bytes
    address: bytes | None

    @classmethod
    def of(cls, email: str, address: str | None) -> Self:
        """An attempt as `email`, which may be any text, from `address`; None where that is not known."""
        return cls(_digest("user", email), None if address is None else _digest("address", _network(address)))

    def slowings(self) -> dict[bytes, Slowing]:
        """What the attempt is counted under, and how each is slowed."""
        return {self.user: _USER} | ({self.address: _ADDRESS} if self.address else {})


async def begin(pool: Pool, attempt: Attempt, now: datetime) -> None:
    """Count the attempt as failed, or raise `TooManyAttempts` if it comes too soon, in which case it is not counted."""
    slowings = attempt.slowings()
    async with pool.connection() as connection:
        await sessions.forget_old_failures(connection, now - _REMEMBERED)
    async with pool.connection() as connection:
        found = await sessions.lock_failures(connection, list(slowings), now)
        wait = max((slowings[digest].until(each) - now).total_seconds() for digest, each in found.items())
        if wait > 0:
            raise TooManyAttempts(wait)
        await sessions.count_failure(connection, list(slowings), now)


async def succeed(pool: Pool, attempt: Attempt) -> None:
    """Take back that the attempt failed. The user's count begins anew, the address's does not: it may be that of
    somebody with one password who guesses others."""
    async with pool.connection() as connection:
        await sessions.forget_failures(connection, attempt.user)
        if attempt.address is not None:
            await sessions.uncount_failure(connection, attempt.address)


def _network(address: str) -> str:
    """What one client can choose its address from: of IPv6, a network of 64 bits (RFC 6177)."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if isinstance(known, IPv6Address):
        return str(known.ipv4_mapped or known.packed[:8].hex())
    return str(known)


def _digest(kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{kind}:{name}".encode("utf-8", "surrogatepass")).digest()
