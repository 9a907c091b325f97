"""Webhooks of Mailgun: an HMAC of a timestamp and a token, which says nothing of the rest of the body. So each token is
good for one call, and for some hours.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
"""

import hmac
from datetime import datetime, timedelta
from typing import Any, Final

from caravan.channels.replies import one_line
from caravan.errors import Forbidden
from caravan.returns.keys import key_in_text
from caravan.returns.providers.values import inner, moment, text
from caravan.returns.returned import Kind, Returned
from caravan.returns.severity import judge

SOURCE: Final = "email:mailgun"
FRESH: Final = timedelta(hours=12)  # Mailgun tries again for 8 hours
_LONGEST: Final = 200  # characters of a token; it has 50


def check_signature(event: dict[str, Any], key: str, now: datetime) -> str:
    """The token of a webhook that Mailgun has signed of late. Raises `Forbidden` for any other."""
    signature = inner(event, "signature")
    timestamp, token = text(signature.get("timestamp")), text(signature.get("token"))
    ours = hmac.digest(key.encode(), (timestamp + token).encode("utf-8", "replace"), "sha256").hex()
    if not hmac.compare_digest(ours.encode(), text(signature.get("signature")).encode("utf-8", "replace")):
        raise Forbidden("The signature of this webhook is not that of CARAVAN_MAILGUN_KEY.")
    at = moment(float(timestamp)) if timestamp.isdecimal() else None
    if at is None or abs(now - at) > FRESH or not 0 < len(token) <= _LONGEST:
        raise Forbidden("This webhook was signed too long ago.")
    return token


def read_event(event: dict[str, Any], body: bytes) -> list[Returned]:
    """What a webhook says; nothing where it is of a kind that does not count here."""
    data = inner(event, "event-data")
    kind = text(data.get("event"))
    key = key_in_text(inner(data, "message", "headers").get("message-id"))
    at = moment(data.get("timestamp"))
    if kind == "delivered":
        return [Returned(Kind.DELIVERED, SOURCE, key, at=at)]
    if kind == "complained":
        return [Returned(Kind.COMPLAINED, SOURCE, key, reason="reported as spam", at=at, told=body)]
    if kind == "failed" and text(data.get("severity")) == "permanent":  # else Mailgun tries again
        return [_failed(data, key, at, body)]
    return []


def _failed(data: dict[str, Any], key: str | None, at: datetime | None, body: bytes) -> Returned:
    status = inner(data, "delivery-status")
    said = text(status.get("message")) or text(status.get("description"))
    number = text(status.get("code"))
    hard, code = judge(f"{number} {said}" if len(number) == 3 else said, text(status.get("enhanced-code")))
    hard = hard or text(data.get("reason")) == "suppress-bounce"
    return Returned(Kind.BOUNCED, SOURCE, key, hard, code, one_line(said or text(data.get("reason"))), at, body)
