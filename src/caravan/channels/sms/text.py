"""One text message, and what of a text a phone is to get."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from caravan.delivery.message_step import MessageSize

_LINE_ENDS: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Other control characters, halves of surrogate pairs, and what is not seen: it would turn the writing (UAX #9), or cost
# more than twice as much for nothing. Joiners stay: emoji, Persian and Hindi need them.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u200b\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class Text:
    """A text message that is ready to go out."""

    number: str  # E.164: +46701234567
    text: str  # as `clean` leaves it
    key: str  # the delivery's, the same at each attempt
    size: MessageSize
    sender: str | None = None  # a number, a short code or a name; None for the gateway's own


def clean(text: str) -> str:
    """`text` as a phone may get it: one kind of line end, letters composed (NFC), nothing that is not seen."""
    if not (text.isascii() and text.isprintable()):
        text = _UNSEEN.sub("", _LINE_ENDS.sub("\n", text).replace("\t", " "))
        text = unicodedata.normalize("NFC", text)
    return text.strip()
