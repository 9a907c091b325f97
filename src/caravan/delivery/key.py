"""The delivery key: the name of one message for one contact on one visit to one step, which can be read back.

It is the local part of the Message-ID and the Idempotency-Key, and stands in addresses and URLs that come back with
an answer. Mail systems change the case of such names and cut long ones, so a key is at most 48 of the characters
`0-9a-v`, which mean the same in capitals. Each is one digit of base 32 (RFC 4648 §7, "base32hex"), 5 bits:

    digits   what                                                         largest value
    1        version of this layout: 1
    16       batch: the 20 hexadecimal digits of its id                   2^80 - 1
    2        step: its place among the steps of the journey's version     1,023
    1        how many digits the visit has, n
    n ≤ 6    visit: how many steps lie behind the contact                 2^30 - 1
    m ≤ 10   line of the contact's row in its file; m is what is left     2^50 - 1
    12       signature: the first 60 bits of HMAC-SHA-256 of all before it

Numbers have no leading zeros, so that a delivery has one key under one secret, and the signature covers the digits
themselves, so that no other text is taken for one. Whoever holds no secret of the installation finds a key by chance
once in 2^60 tries.
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 48  # characters
MAX_STEP, MAX_VISIT, MAX_LINE = (1 << 10) - 1, (1 << 30) - 1, (1 << 50) - 1
_VERSION: Final = "1"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
_PAIRS: Final = tuple(high + low for high in _DIGITS for low in _DIGITS)
_SIGNATURE: Final = 12  # digits
_CONTEXT: Final = b"caravan delivery key\0"  # so that nothing else that is signed with the same secret passes for one
_BATCH: Final = re.compile(r"b_([0-9a-f]{20})", re.ASCII)
_SHAPE: Final = re.compile(
    rf"{_VERSION}(?P<batch>[0-9a-v]{{16}})(?P<step>[0-9a-v]{{2}})"
    rf"(?P<length>[1-6])(?P<rest>[0-9a-v]{{2,16}})[0-9a-v]{{{_SIGNATURE}}}",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class DeliveryKey:
    """What a delivery key leads to."""

    batch: str
    step: int  # its place among the steps of the batch's journey version, from 0
    visit: int
    line: int


class KeyWriter:
    """Writes the keys of one visit of a batch's contacts to a step: all but the line is the same in each."""

    def __init__(self, batch: str, step: int, visit: int, secret: bytes) -> None:
        """Raises ValueError for what no batch, step or visit can be."""
        found = _BATCH.fullmatch(batch)
        if found is None or not 0 <= step <= MAX_STEP or not 0 <= visit <= MAX_VISIT:
            raise ValueError(f"visit {visit} to step {step} of batch {batch} can't be written as a delivery key")
        digits = _number(visit)
        self.secret = secret
        self._head = f"{_VERSION}{_fixed(int(found[1], 16), 16)}{_PAIRS[step]}{len(digits)}{digits}"

    def key(self, line: int) -> str:
        """The key of the contact at this line, the same at each call. Raises ValueError if it is too large."""
        if not 0 <= line <= MAX_LINE:
            raise ValueError(f"line {line} can't be written in a delivery key")
        body = self._head + _number(line)
        return body + _signature(body, self.secret)


def make_key(key: DeliveryKey, secret: bytes) -> str:
    """The text of a key. Raises ValueError for what no delivery of a batch can be."""
    return KeyWriter(key.batch, key.step, key.visit, secret).key(key.line)


def read_key(text: str, secrets: Iterable[bytes]) -> DeliveryKey | None:
    """What a key leads to, in whatever case it comes; None unless it was signed with one of the secrets."""
    text = text.lower() if text.isascii() else ""
    found = _SHAPE.fullmatch(text)
    if found is None or len(text) > LONGEST:
        return None
    body, signature = text[:-_SIGNATURE], text[-_SIGNATURE:]
    if not any(hmac.compare_digest(signature, _signature(body, secret)) for secret in secrets):
        return None
    length = int(found["length"])
    visit, line = found["rest"][:length], found["rest"][length:]
    if not line:
        return None
    return DeliveryKey(_batch(found), int(found["step"], 32), int(visit, 32), int(line, 32))


def line_of(key: str) -> int:
    """The line of the contact whom a key is of, for keys of our own making. Raises ValueError for what is none."""
    found = _SHAPE.fullmatch(key)
    if found is None:
        raise ValueError(f"{key!r} is no delivery key")
    return int(found["rest"][int(found["length"]) :], 32)


def batch_of(key: str) -> str | None:
    """The batch that a key names, whoever signed it: only for keys of our own making."""
    found = _SHAPE.fullmatch(key)
    return None if found is None else _batch(found)


def _batch(found: re.Match[str]) -> str:
    return f"b_{int(found['batch'], 32):020x}"


def _signature(body: str, secret: bytes) -> str:
    digest = hmac.digest(secret, _CONTEXT + body.encode("ascii"), "sha256")
    return _fixed(int.from_bytes(digest[:8], "big") >> 4, _SIGNATURE)


def _fixed(number: int, digits: int) -> str:
    """A number in base 32, with leading zeros; `digits` is even."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * digits - 10, -1, -10)])


def _number(number: int) -> str:
    """A number in base 32 without leading zeros."""
    pairs = max(1, -(-number.bit_length() // 10))
    return _fixed(number, 2 * pairs).lstrip("0") or "0"
