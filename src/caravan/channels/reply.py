"""One reply of an SMTP server: its codes, its text, and when it invites to try again."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from caravan.delivery.result import asked_wait

_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ENHANCED: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |\Z)")
_AGAIN: Final = re.compile(
    r"\b(?:in|for|after)\s+(?:(?P<clock>\d{1,2}:\d\d:\d\d)|(?P<number>\d{1,6})\s*(?P<unit>[smh])"
    r"(?:ecs?|econds?|ins?|inutes?|ours?|rs?)?\b)",
    re.IGNORECASE,
)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_LONGEST_DETAIL: Final = 300


class Stage(StrEnum):
    """How far the conversation about a mail had come when the reply was given."""

    CONNECT = "connect"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"
    BOUNCE = "bounce"  # long after it, by a mail that comes back


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of an SMTP server (RFC 5321 §4.2); the lines of its text joined with spaces."""

    code: int  # 0 when it was not a reply at all
    text: str

    @property
    def enhanced(self) -> str:
        """The enhanced status code at the start of the text (RFC 2034), or nothing."""
        found = _ENHANCED.match(self.text)
        return found[1] if found else ""

    def __str__(self) -> str:
        return one_line(f"{self.code:03d} {self.text}")


def one_line(text: str, longest: int = _LONGEST_DETAIL) -> str:
    """`text` of the other side as it may stand in a journal: without control characters and not long."""
    if not text.isprintable():
        text = _CONTROLS.sub(" ", text)
    return text[:longest].strip()


def again_in(text: str) -> float | None:
    """The seconds after which `text` invites to try again ("Greylisted for 5 minutes", "in 00:04:59"), as `asked_wait`
    bounds them."""
    found = _AGAIN.search(text)
    if not found:
        return None
    if found["clock"]:
        hours, minutes, seconds = map(int, found["clock"].split(":"))
        return asked_wait(hours * 3600 + minutes * 60 + seconds)
    return asked_wait(int(found["number"]) * _SECONDS[found["unit"].lower()])
