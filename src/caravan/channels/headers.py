"""The headers of a webhook's request: which of them a journey may set. One list, for publishing and for sending."""

import re
from typing import Final

TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2

# What frames a message or manages its connection belongs to the HTTP client (RFC 9110 §7.6.1, §7.2, §8.6, §10.1.1;
# RFC 9112 §6), and the key is each delivery's own.
RESERVED: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "idempotency-key",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def why_not(name: str) -> str | None:
    """Why a journey can't set the header of this name, as a sentence without its stop; None if it can."""
    if not TOKEN.fullmatch(name):
        return f"'{name[:60]}' is no name of a header (RFC 9110)"
    if name.lower() in RESERVED:
        return f"the header {name} is set by Caravan itself"
    return None
