"""The headers that the author of a webhook or a mail may set: one list each, for the check of a journey and for each
message."""

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
# What Caravan sets itself or a field of the step is for, what relays add, and what would be a signature, or an address
# that nobody has looked at.
MAIL_RESERVED: Final = frozenset(
    {
        "apparently-to", "authentication-results", "bcc", "cc", "date", "delivered-to", "dkim-signature",
        "domainkey-signature", "envelope-to", "errors-to", "from", "list-id", "list-unsubscribe",
        "list-unsubscribe-post", "message-id", "mime-version", "received", "received-spf", "reply-to",
        "return-path", "sender", "subject", "to",
    }
)  # fmt: skip
_MAIL_FAMILIES: Final = ("arc-", "content-", "resent-", "x-original-")
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


def mail_header_problem(name: str) -> str | None:
    """Why a mail may not have a header `name` of its author, as the end of a sentence; None if it may."""
    if not is_token(name) or len(name) > 70:
        return "is not a header name (RFC 5322)"
    if name.lower() in MAIL_RESERVED or name.lower().startswith(_MAIL_FAMILIES):
        return "can't be set; Caravan or the relay does it, or another field of the step is for it"
    return None
