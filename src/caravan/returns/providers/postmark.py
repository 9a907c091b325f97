"""Webhooks of Postmark, which are not signed: they bear a password (HTTP authentication, RFC 7617).

https://postmarkapp.com/developer/webhooks/bounce-webhook
"""

import hmac
from base64 import b64decode
from typing import Any, Final

from caravan.channels.replies import one_line
from caravan.errors import Forbidden
from caravan.returns.keys import key_in_text
from caravan.returns.providers.values import inner, moment, text
from caravan.returns.returned import Kind, Returned
from caravan.returns.severity import judge

SOURCE: Final = "email:postmark"
_HARD: Final = ("HardBounce", "BadEmailAddress")
_SOFT: Final = (
    "SoftBounce", "DnsError", "Blocked", "SpamNotification", "DMARCPolicy", "ManuallyDeactivated", "SMTPApiError",
    "VirusNotification", "Undeliverable",
)  # fmt: skip


def check_password(authorization: str, password: str) -> None:
    """Raise `Forbidden` unless the header Authorization has this password, with whatever user name."""
    kind, _, value = authorization.partition(" ")
    try:
        given = b64decode(value.strip(), validate=True) if kind.lower() == "basic" else b""
    except ValueError:
        given = b""
    if not hmac.compare_digest(given.partition(b":")[2], password.encode()):
        raise Forbidden("The password in the URL of this webhook is not that of CARAVAN_POSTMARK_PASSWORD.")


def read_event(event: dict[str, Any], body: bytes) -> list[Returned]:
    """What a webhook says; nothing where it is of a kind that does not count here."""
    record, kind = text(event.get("RecordType")), text(event.get("Type"))
    key = key_in_text(inner(event, "Metadata").get("delivery"))
    said = text(event.get("Details")) or text(event.get("Description"))
    at = moment(event.get("BouncedAt") or event.get("DeliveredAt"))
    if record == "Delivery":
        return [Returned(Kind.DELIVERED, SOURCE, key, at=at)]
    if record == "SpamComplaint" or (record == "Bounce" and kind == "SpamComplaint"):
        return [Returned(Kind.COMPLAINED, SOURCE, key, reason=one_line(said or "reported as spam"), at=at, told=body)]
    if record == "Bounce" and kind in (*_HARD, *_SOFT):
        _, code = judge(said)
        return [Returned(Kind.BOUNCED, SOURCE, key, kind in _HARD, code, one_line(f"{kind}: {said}"), at, body)]
    return []  # AutoResponder, Transient, Subscribe …
