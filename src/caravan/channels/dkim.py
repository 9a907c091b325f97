"""DKIM signatures of mails (RFC 6376, RFC 8463), one for each key of the domain in From.

The header is canonicalised as `relaxed`, which survives folding on the way, and the body as `simple`, which costs its
hash alone: bodies go out in 7 bits, which no relay has a reason to change.
"""

import asyncio
import hashlib
import re
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from caravan.channels.mail import Mail
from caravan.delivery.channel import Channel
from caravan.delivery.result import SendResult
from caravan.errors import InvalidSetting

_LEAST_BITS: Final = 2048  # of an RSA key, as RFC 8301 §3.2 recommends
# What is signed where it is there. Those in _ONCE are named once more than they are there, so that nobody adds another.
_SIGNED: Final = (
    b"from", b"to", b"subject", b"date", b"message-id", b"reply-to", b"mime-version", b"content-type",
    b"content-transfer-encoding", b"list-id", b"list-unsubscribe", b"list-unsubscribe-post", b"feedback-id",
)  # fmt: skip
_ONCE: Final = (b"from", b"to", b"subject", b"date", b"message-id", b"reply-to", b"content-type")
_FOLD: Final = re.compile(rb"\r\n(?=[ \t])")
_BLANKS: Final = re.compile(rb"[ \t]+")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
_WIDTH: Final = 72
_LONG: Final = 1 << 18  # octets from which hashing a mail would hold up the others; it lets other threads run


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A private key, and where its public half stands: SELECTOR._domainkey.DOMAIN."""

    domain: str
    selector: str
    key: RSAPrivateKey | Ed25519PrivateKey

    @property
    def algorithm(self) -> str:
        """The value of the tag `a`."""
        return "rsa-sha256" if isinstance(self.key, RSAPrivateKey) else "ed25519-sha256"

    def sign(self, data: bytes) -> bytes:
        """The signature of these octets."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(data, PKCS1v15(), SHA256())
        return self.key.sign(hashlib.sha256(data).digest())  # RFC 8463 §3


def read_keys(folder: Path) -> dict[str, list[DkimKey]]:
    """The keys in the files DOMAIN/SELECTOR.pem of a folder, by domain. Raises `InvalidSetting`."""
    keys: dict[str, list[DkimKey]] = {}
    try:
        files = sorted(folder.glob("*/*.pem"))
    except OSError:
        files = []
    if not files:
        raise InvalidSetting(f"CARAVAN_DKIM_KEYS: there is no file DOMAIN/SELECTOR.pem in {folder}.")
    for file in files:
        key = _read_key(file)
        keys.setdefault(key.domain, []).append(key)
    return keys


def _read_key(file: Path) -> DkimKey:
    domain, selector = file.parent.name.lower(), file.stem.lower()
    if not (_LABEL.fullmatch(domain) and _LABEL.fullmatch(selector)):
        raise InvalidSetting(f"CARAVAN_DKIM_KEYS: {file} is not named DOMAIN/SELECTOR.pem, in ASCII.")
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidSetting(f"CARAVAN_DKIM_KEYS: {file} holds no private key without a password, in PEM.") from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= _LEAST_BITS:
        return DkimKey(domain, selector, key)
    if isinstance(key, Ed25519PrivateKey):
        return DkimKey(domain, selector, key)
    raise InvalidSetting(f"CARAVAN_DKIM_KEYS: {file} must hold an RSA key of 2,048 bits or more, or an Ed25519 key.")


def signed(content: bytes, keys: list[DkimKey], now: int, enclosed: Sequence[bytes] = ()) -> bytes:
    """A mail (CRLF line ends) with a DKIM-Signature for each key before it. `now` is in seconds since 1970. `enclosed`
    is what follows behind `content`; its last line end stands alone."""
    head, _, body = content.partition(b"\r\n\r\n")
    digest = hashlib.sha256(body if enclosed else _simple(body))
    for piece in enclosed:
        digest.update(piece)
    body_hash = b64encode(digest.digest()).decode("ascii")
    fields = _fields(head)
    return b"".join(_signature(each, fields, body_hash, now) for each in keys) + content


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    """The header fields: the name in lower case, and the whole as `relaxed` (RFC 6376 §3.4.2) has it."""
    found = []
    for line in _FOLD.sub(b"", head).split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        found.append((name, name + b":" + _BLANKS.sub(b" ", value).strip()))
    return found


def _simple(body: bytes) -> bytes:
    """The body as `simple` (RFC 6376 §3.4.3) has it: with one line end at its end."""
    while body.endswith(b"\r\n\r\n"):
        body = body[:-2]
    return b"\r\n" if not body or body == b"\r\n" else body if body.endswith(b"\r\n") else body + b"\r\n"


def _signature(key: DkimKey, fields: list[tuple[bytes, bytes]], body_hash: str, now: int) -> bytes:
    there = [name for name in _SIGNED for each, _ in fields if each == name]
    names = b":".join([*there, *_ONCE]).decode("ascii")
    tags = (
        f"v=1; a={key.algorithm}; c=relaxed/simple; d={key.domain}; s={key.selector}; t={now};\r\n"
        f" {_folded(f'h={names}', ':')};\r\n bh={body_hash};\r\n b="
    )
    unsigned = _FOLD.sub(b"", f"dkim-signature:{tags}".encode("ascii"))
    below = [value for name in dict.fromkeys(there) for value in reversed([v for each, v in fields if each == name])]
    signature = b64encode(key.sign(b"\r\n".join([*below, _BLANKS.sub(b" ", unsigned)]))).decode("ascii")
    pieces = "\r\n ".join(signature[at : at + _WIDTH] for at in range(0, len(signature), _WIDTH))
    return f"DKIM-Signature: {tags}{pieces}\r\n".encode("ascii")


def _folded(text: str, separator: str) -> str:
    """`text`, broken behind separators."""
    lines = [""]
    for piece in text.split(separator):
        if len(lines[-1]) + len(piece) > _WIDTH:
            lines.append("")
        lines[-1] += piece + separator
    return "\r\n ".join(lines).removesuffix(separator)


class SigningChannel:
    """Signs mails whose domain, or one above it, has keys, and hands all to another channel."""

    def __init__(
        self, channel: Channel[Mail], keys: dict[str, list[DkimKey]], clock: Callable[[], float] = time.time
    ) -> None:
        self._channel, self._keys, self._clock = channel, keys, clock

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.__aexit__(kind, error, trace)

    async def send(self, mail: Mail, on_data: Callable[[], None] | None = None) -> SendResult:
        """Attempt once. See `Channel.send`."""
        if keys := self._keys_of(mail.sender.rpartition("@")[2].lower()):
            sign = partial(signed, mail.content, keys, int(self._clock()), mail.enclosed)
            mail = replace(mail, content=sign() if mail.size < _LONG else await asyncio.to_thread(sign))
        return await self._channel.send(mail, on_data)

    def _keys_of(self, domain: str) -> list[DkimKey]:
        """Those of the domain, else of the nearest one above it: DMARC takes both as aligned."""
        while domain:
            if keys := self._keys.get(domain):
                return keys
            domain = domain.partition(".")[2]
        return []
