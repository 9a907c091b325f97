"""Passwords: made, hashed with Argon2id (RFC 9106), checked. Each takes some 20 ms and 19 MiB, so in a thread."""

import asyncio
import secrets
import unicodedata
from base64 import b64encode

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from caravan.errors import InvalidInput

SHORTEST = 12  # characters that a user's own password has at least
_LONGEST = 1_000
_HASH_BYTES, _SALT_BYTES = 32, 16
#: OWASP's Password Storage Cheat Sheet: Argon2id with 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(
    time_cost=2, memory_cost=19_456, parallelism=1, hash_len=_HASH_BYTES, salt_len=_SALT_BYTES, type=Type.ID
)


def first_password() -> str:
    """A random password of 20 characters, 120 bits, for a user to sign in with once."""
    return secrets.token_urlsafe(15)


def check_new(password: str, email: str) -> None:
    """Raise `InvalidInput` for a password that a user should not choose."""
    if not SHORTEST <= len(password) <= _LONGEST:
        raise InvalidInput(f"A password has {SHORTEST} to {_LONGEST:,} characters.")
    if len(set(password)) < 5 or password.strip().lower() == email:
        raise InvalidInput("This password is too easily guessed; take a sentence, or what a password manager makes.")


async def hash_password(password: str) -> str:
    """The hash to store, with its salt and parameters in it."""
    return await asyncio.to_thread(_HASHER.hash, _bytes(password))


async def is_password(known: str | None, password: str) -> bool:
    """Whether `password` has the hash `known`. Without one, for a user that does not exist, it is False and takes as
    long, so that the time does not tell which users there are."""
    return await asyncio.to_thread(_verify, known or _nothing(), password)


def _verify(known: str, password: str) -> bool:
    try:
        return _HASHER.verify(known, _bytes(password))
    except (VerificationError, InvalidHashError):
        return False


def _nothing() -> str:
    """A hash of today's parameters that no password is known to have."""
    salt, digest = (
        b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (_SALT_BYTES, _HASH_BYTES)
    )
    memory, passes, lanes = _HASHER.memory_cost, _HASHER.time_cost, _HASHER.parallelism
    return f"$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${digest}"


def _bytes(password: str) -> bytes:
    """Two keyboards may write the same letter differently (NIST SP 800-63B-4 §3.1.1.2)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
