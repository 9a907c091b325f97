"""Reports as mails: of deliveries (RFC 3464) and of complaints (RFC 5965), both in a `multipart/report` (RFC 6522)."""

from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from typing import Final

from caravan.channels.replies import one_line
from caravan.returns.keys import key_in_header
from caravan.returns.returned import Kind, Returned
from caravan.returns.severity import judge

_MOST: Final = 100  # parts and blocks that are looked at
_LONGEST: Final = 20_000  # characters of a part that is read as headers
#: Of the types of RFC 5965 §7.3 and those registered since: that the recipient, or who acts for it, does not want it.
_COMPLAINTS: Final = ("abuse", "fraud", "opt-out", "opt-out-list", "other")


def delivery_report(message: Message) -> Returned | None:
    """What a delivery status notification says; None where the message is none, or says nothing final."""
    blocks = list(_blocks(message))
    if not blocks:
        return None
    by_action: dict[str, Message] = {}
    for block in blocks:
        by_action.setdefault(field(block, "Action").lower(), block)
    if (failed := by_action.get("failed")) is not None:
        said = field(failed, "Diagnostic-Code").partition(";")[2].strip() or field(failed, "Diagnostic-Code")
        status = field(failed, "Status").split()[:1]
        hard, code = judge(said, status[0] if status else "")
        return Returned(Kind.BOUNCED, "email:bounce", hard=hard, code=code, reason=one_line(said))
    if "delivered" in by_action:
        return Returned(Kind.DELIVERED, "email:bounce")
    return None


def is_delivery_report(message: Message) -> bool:
    """Whether it is a delivery status notification, also one that says nothing final, like a delay."""
    return any(True for _ in _blocks(message))


def complaint(message: Message) -> Returned | None:
    """What a report of a complaint says, with the key that stands in it; None where the message is none."""
    report = next((part for part in _parts(message) if part.get_content_type() == "message/feedback-report"), None)
    if report is None:
        return None
    fields = _as_headers(report)
    kind = field(fields, "Feedback-Type").lower()
    found = Kind.COMPLAINED if kind in _COMPLAINTS else Kind.UNREAD
    reporter = field(fields, "Source-IP") or field(fields, "Reporting-MTA")
    reason = one_line(f"{kind or 'no Feedback-Type'}, reported by {field(fields, 'User-Agent') or reporter or '?'}")
    return Returned(found, "email:arf", key=_key(message, fields), reason=reason)


def field(block: Message, name: str) -> str:
    """A field of a report as one line; empty where it is not there. Broken octets become replacement characters."""
    return " ".join(str(block.get(name, "")).encode("utf-8", "replace").decode("utf-8", "replace").split())


def _key(message: Message, fields: Message) -> str | None:
    """The delivery key of the mail that is complained of: in the addresses that the report names, or in the headers of
    the mail, which come with the report."""
    places = [fields, *(_as_headers(part) for part in _parts(message) if _is_copy(part))]
    return next((key for place in places if (key := key_in_header(place)) is not None), None)


def _is_copy(part: Message) -> bool:
    return part.get_content_type() in ("message/rfc822", "message/rfc822-headers", "text/rfc822-headers")


def _parts(message: Message) -> Iterator[Message]:
    """The parts of a report, and the report itself; not what is in them."""
    yield message
    content = message.get_payload()
    if isinstance(content, list) and message.get_content_maintype() == "multipart":
        yield from (part for part in content[:_MOST] if isinstance(part, Message))


def _blocks(message: Message) -> Iterator[Message]:
    """The fields about each recipient of all delivery reports in a message (RFC 3464 §2.3)."""
    for part in _parts(message):
        content = part.get_payload()
        if part.get_content_type() in ("message/delivery-status", "message/global-delivery-status"):
            for block in content[:_MOST] if isinstance(content, list) else ():
                if isinstance(block, Message) and "Action" in block:
                    yield block


def _as_headers(part: Message) -> Message:
    """A part as the headers that it consists of, or begins with."""
    content = part.get_payload()
    if isinstance(content, list):
        return content[0] if content and isinstance(content[0], Message) else part
    decoded = part.get_payload(decode=True)
    text = decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else str(content)
    return HeaderParser().parsestr(text[:_LONGEST].lstrip("\r\n"))
