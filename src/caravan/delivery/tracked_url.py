"""The URLs that tell of an opened mail and of a followed link. The delivery key is what makes them hard to guess.

    {public_url}/o/{key}/{when}                        the image of an open
    {public_url}/c/{key}/{when}/{link}                 a link of the step's version, which leads where that says
    {public_url}/c/{key}/{when}/{link}/{sign}{target}  one with placeholders: its target for this contact, and signed

`when` is the second in which the message was written (base 32, since 1970): who changes it only misleads what is
thought of its own visit. A target is Base64 (RFC 4648 §5, without padding) of the URL's octets. Its signature is the
first 60 bits of HMAC-SHA-256 over the key, the link and the target, so that no other target leads away from here.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

OPEN, CLICK = "o", "c"
LONGEST_TARGET: Final = 1_500  # octets; some browsers and mail programs take no URL of more than 2,083 characters
_CONTEXT: Final = b"caravan link target\0"  # so that no other signature of the same secret passes for one
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
_SIGN: Final = 12
_REST: Final = re.compile(
    r"(?:(?P<when>[0-9a-v]{7})/)?(?P<link>[0-9a-v]{8})(?:/(?P<sign>[0-9a-v]{12})(?P<target>[A-Za-z0-9_-]{1,2100}))?",
    re.ASCII,
)
_WHEN: Final = re.compile(r"[0-9a-v]{7}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LinkVisited:
    """What the end of a link's URL says. `target` is None where the version says where it leads."""

    link: str  # its name: see `link_name`
    when: datetime | None
    target: str | None = None


def when_text(at: datetime) -> str:
    """A moment as it stands in the URLs."""
    return _digits((at - _EPOCH) // timedelta(seconds=1), 7)  # a float would round the last microseconds up


def link_name(written: str) -> str:
    """The name of a link: 40 bits of a digest of what the template says, so that it stays the same in all versions and
    releases, wherever in the mail the link stands."""
    return _digits(int.from_bytes(hashlib.sha256(written.encode("utf-8", "replace")).digest()[:5], "big"), 8)


def read_when(text: str) -> datetime | None:
    """The moment again; None for what is none."""
    return datetime.fromtimestamp(int(text, 32), UTC) if _WHEN.fullmatch(text) else None


def target_path(key: str, secret: bytes, link: str, target: str) -> str:
    """The last piece of the URL of a link with a target of its own: signature and target."""
    encoded = urlsafe_b64encode(target.encode("utf-8")).rstrip(b"=")
    return _sign(key, link, encoded, secret) + encoded.decode("ascii")


def read_link(key: str, rest: str, secrets: Iterable[bytes]) -> LinkVisited | None:
    """What stands behind the key (in lower case) in the URL of a link; None for what was never made here."""
    found = _REST.fullmatch(rest)
    if found is None:
        return None
    link, when = found["link"], read_when(found["when"]) if found["when"] else None
    if found["target"] is None:
        return LinkVisited(link, when)
    encoded = found["target"].encode("ascii")
    if not any(hmac.compare_digest(found["sign"], _sign(key, link, encoded, secret)) for secret in secrets):
        return None
    return LinkVisited(link, when, urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)).decode("utf-8"))


def _sign(key: str, link: str, encoded: bytes, secret: bytes) -> str:
    digest = hmac.digest(secret, _CONTEXT + f"{key}\0{link}\0".encode("ascii") + encoded, "sha256")
    return _digits(int.from_bytes(digest[:8], "big") >> 4, _SIGN)


def _digits(number: int, count: int) -> str:
    return "".join([_DIGITS[number >> shift & 31] for shift in range(5 * count - 5, -1, -5)])
