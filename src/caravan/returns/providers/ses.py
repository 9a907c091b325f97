"""Events of Amazon SES, as SNS carries them: notifications of an identity, or events of a configuration set.

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from caravan.channels.replies import one_line
from caravan.returns.keys import key_in_text, key_of_address
from caravan.returns.providers.values import inner, moment, objects, text
from caravan.returns.returned import Kind, Returned
from caravan.returns.severity import judge

SOURCE: Final = "email:ses"


def read_event(event: dict[str, Any]) -> list[Returned]:
    """What an event says; nothing where it is of a kind that does not count here."""
    kind = text(event.get("eventType") or event.get("notificationType"))
    told = json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")
    key = _key(inner(event, "mail"))
    if kind == "Bounce":
        found = _bounce(inner(event, "bounce"), key, told)
    elif kind == "Complaint":
        found = _complaint(inner(event, "complaint"), key, told)
    elif kind == "Delivery":
        found = Returned(Kind.DELIVERED, SOURCE, key, at=moment(inner(event, "delivery").get("timestamp")))
    else:
        found = None
    return [] if found is None else [found]


def _bounce(bounce: dict[str, Any], key: str | None, told: bytes) -> Returned | None:
    recipient = next(iter(objects(bounce.get("bouncedRecipients"))), {})
    said, status = text(recipient.get("diagnosticCode")), text(recipient.get("status"))
    kind, subkind = text(bounce.get("bounceType")), text(bounce.get("bounceSubType"))
    if kind == "Transient" and subkind == "General" and not (said or status):
        return None  # so SES reports automatic answers as well
    _, code = judge(said, status)
    reason = one_line(said or f"{kind} {subkind}")
    at = moment(bounce.get("timestamp"))
    return Returned(Kind.BOUNCED, SOURCE, key, kind == "Permanent", code, reason, at, told)


def _complaint(complaint: dict[str, Any], key: str | None, told: bytes) -> Returned | None:
    kind = text(complaint.get("complaintFeedbackType"))
    if kind == "not-spam":
        return None
    at = moment(complaint.get("timestamp") or complaint.get("arrivalDate"))
    return Returned(Kind.COMPLAINED, SOURCE, key, reason=one_line(kind or "reported as spam"), at=at, told=told)


def _key(mail: dict[str, Any]) -> str | None:
    """SES gives a mail a Message-ID of its own, but tells the one that it was given, and the envelope sender."""
    return next((key for place in _places(mail) if (key := place) is not None), None)


def _places(mail: dict[str, Any]) -> Iterator[str | None]:
    yield key_of_address(text(mail.get("source")))
    for header in objects(mail.get("headers")):
        if text(header.get("name")).lower() in ("message-id", "list-unsubscribe"):
            yield key_in_text(header.get("value"))
    yield key_in_text(inner(mail, "commonHeaders").get("messageId"))
