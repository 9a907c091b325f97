"""The HTTP headers of a webhook that its author may set: one list, for the check of a journey and for each call."""

import re
from typing import Final

# What the HTTP client sets itself, what concerns one connection alone (RFC 9110 §7.6.1), and what would change the
# framing of the message (RFC 9112 §6): a second opinion on where a request ends is request smuggling.
RESERVED: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "idempotency-key",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.6.2
_VALUE: Final = re.compile("[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")  # RFC 9110 §5.5; letters beyond ASCII in UTF-8


def is_token(text: str) -> bool:
    """Whether `text` can be a header's name or a method (RFC 9110 §5.6.2)."""
    return _TOKEN.fullmatch(text) is not None


def is_header_value(text: str) -> bool:
    """Whether `text` can be a header's value: no line end, no other control character, no lone surrogate."""
    return _VALUE.fullmatch(text) is not None


def header_problem(name: str) -> str | None:
    """Why a webhook may not set the header `name`, as the end of a sentence; None if it may."""
    if not is_token(name):
        return "is not a header name (RFC 9110)"
    if name.lower() in RESERVED:
        return "is set by Caravan itself"
    return None
