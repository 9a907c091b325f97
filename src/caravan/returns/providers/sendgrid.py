"""The signed event webhook of SendGrid: ECDSA over the timestamp and the body.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

import json
from base64 import b64decode
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from caravan.channels.replies import one_line
from caravan.errors import Forbidden, InvalidInput, InvalidSetting
from caravan.returns.keys import key_in_text
from caravan.returns.providers.values import moment, objects, text
from caravan.returns.returned import Kind, Returned
from caravan.returns.severity import judge

SOURCE: Final = "email:sendgrid"
SIGNATURE: Final = "x-twilio-email-event-webhook-signature"
TIMESTAMP: Final = "x-twilio-email-event-webhook-timestamp"
_BAD_ADDRESS: Final = ("Bounced Address", "Invalid")  # why SendGrid drops a mail to an address that it knows


def read_key(setting: str) -> EllipticCurvePublicKey:
    """The verification key, as SendGrid shows it. Raises `InvalidSetting`."""
    try:
        key = load_der_public_key(b64decode(setting.strip(), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey):
        raise InvalidSetting("CARAVAN_SENDGRID_KEY is no verification key of SendGrid.")
    return key


def check_signature(key: EllipticCurvePublicKey, signature: str, timestamp: str, body: bytes) -> None:
    """Raise `Forbidden` unless SendGrid has signed this."""
    try:
        key.verify(b64decode(signature, validate=True), timestamp.encode("latin-1") + body, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        raise Forbidden("The signature of this webhook is not that of CARAVAN_SENDGRID_KEY.") from None


def read_events(body: bytes) -> list[Returned]:
    """What the events of a webhook say, without those that don't count here. Raises `InvalidInput`."""
    try:
        events = json.loads(body)
    except (ValueError, RecursionError):
        events = None
    if not isinstance(events, list):
        raise InvalidInput("The body is not a list of events of SendGrid.")
    return [found for event in objects(events) if (found := _read(event)) is not None]


def _read(event: dict[str, Any]) -> Returned | None:
    kind, reason = text(event.get("event")), text(event.get("reason"))
    key = key_in_text(event.get("delivery")) or key_in_text(event.get("smtp-id"))
    at = moment(event.get("timestamp"))
    told = json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")
    if kind == "delivered":
        return Returned(Kind.DELIVERED, SOURCE, key, at=at)
    if kind == "spamreport":
        return Returned(Kind.COMPLAINED, SOURCE, key, reason="reported as spam", at=at, told=told)
    if kind == "bounce":
        hard, code = judge(reason, text(event.get("status")))
        is_hard = text(event.get("type")) != "blocked" and (hard or not code or _says_bad(event))
        return Returned(Kind.BOUNCED, SOURCE, key, is_hard, code, one_line(reason), at, told)
    if kind == "dropped":
        said = one_line(f"dropped: {reason}")
        return Returned(Kind.BOUNCED, SOURCE, key, reason.startswith(_BAD_ADDRESS), "", said, at, told)
    return None


def _says_bad(event: dict[str, Any]) -> bool:
    return text(event.get("bounce_classification")) == "Invalid Address"
