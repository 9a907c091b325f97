"""What the sandbox keeps: messages that would have been sent if a relay were set. The newest first."""

from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

from caravan.errors import NotFound
from caravan.store import sandbox
from caravan.store.database import Connection


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """One line of a list."""

    id: int
    channel: str
    sender: str
    recipient: str
    subject: str
    bytes: int
    at: datetime


@dataclass(frozen=True, slots=True)
class KeptMail:
    """One mail, raw and as a reader would see it."""

    id: int
    sender: str  # the envelope's
    recipient: str
    at: datetime
    headers: list[tuple[str, str]]  # decoded, in their order
    text: str | None
    html: str | None
    raw: bytes  # as it would have gone over the wire (RFC 5322)


async def list_messages(
    connection: Connection, *, limit: int = 50, before: int | None = None, recipient: str | None = None
) -> list[KeptMessage]:
    """The newest messages, at most `limit`: those with numbers below `before`, and to `recipient`, if given."""
    found = await sandbox.page(connection, limit=limit, before=before, recipient=recipient)
    return [
        KeptMessage(
            each["id"],
            each["channel"],
            each["sender"],
            each["recipient"],
            str(_parsed(each["head"]).get("subject", "")),
            each["bytes"],
            each["at"],
        )
        for each in found
    ]


async def get_mail(connection: Connection, number: int) -> KeptMail:
    """One mail. Raises `NotFound` if there is none of this number any more."""
    found = await sandbox.get(connection, number)
    if found is None:
        raise NotFound(f"There is no message {number} in the sandbox; it keeps only the newest.")
    raw = bytes(found["content"])
    message = _parsed(raw)
    return KeptMail(
        found["id"],
        found["sender"],
        found["recipient"],
        found["at"],
        [(name, str(value)) for name, value in message.items()],
        _body(message, "plain"),
        _body(message, "html"),
        raw,
    )


async def clear(connection: Connection) -> int:
    """Forget all messages; how many."""
    return await sandbox.clear(connection)


def _parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(bytes(raw), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return None if part is None else str(part.get_content())
