"""Where the delivery key stands in what comes back: in an address, a Message-ID, a link to unsubscribe.

What is found has the shape of a key and no more; who uses it checks its signature (delivery/signing.py).
"""

import re
from email.message import Message
from typing import Final

from caravan.channels.return_path import LOCAL

_LONGEST: Final = 2_000  # characters of a header that are looked at
_KEY: Final = re.compile(r"(?<![0-9a-z])1[0-9a-v]{30,47}(?![0-9a-z])", re.ASCII | re.IGNORECASE)
_ADDRESS: Final = re.compile(rf"{re.escape(LOCAL)}(?P<key>[0-9a-v]+)@", re.ASCII | re.IGNORECASE)
#: The headers of a mail, and the fields of a report about it, in which its key can stand; the surest ones first.
_PLACES: Final = ("X-Caravan-Delivery", "Message-ID", "Original-Mail-From", "Return-Path", "List-Unsubscribe")


def key_of_address(address: str) -> str | None:
    """The key in an address of the bounce domain; None where there is none."""
    found = _ADDRESS.match(address.strip("<> "))
    return None if found is None else found["key"].lower()


def key_in_text(text: object) -> str | None:
    """The first key in a text, as in a Message-ID."""
    found = _KEY.search(text[:_LONGEST]) if isinstance(text, str) else None
    return None if found is None else found[0].lower()


def key_in_header(headers: Message) -> str | None:
    """The key in the headers of a mail, or in the fields of a report about it."""
    for name in _PLACES:
        if (key := key_in_text(str(headers.get(name, "")))) is not None:
            return key
    return None
