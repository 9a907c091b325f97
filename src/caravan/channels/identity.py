"""The name of one delivery: the same at each attempt, so that the other side can tell a repetition."""

from hashlib import blake2b
from json import JSONEncoder
from typing import Final

_JSON: Final = JSONEncoder(ensure_ascii=True, separators=(",", ":"))


def delivery_key(batch: str, step: str, contact: str, line: int, visit: int) -> str:
    """40 hexadecimal digits that stand for the `visit`-th time that a contact of a batch is at a step.

    `line` is the contact's line in its file. The key is the local part of Message-ID and the
    Idempotency-Key of webhooks. It must never change between versions of Caravan: a retry may happen after
    an upgrade.
    """
    # JSON keeps ("ab", "c") and ("a", "bc") apart, and takes lone surrogates that UTF-8 does not.
    name = _JSON.encode([batch, step, contact, line, visit])
    return blake2b(name.encode("ascii"), digest_size=20, person=b"caravan delivery").hexdigest()
