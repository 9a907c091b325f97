"""What the sandbox keeps: messages that would have been sent if a relay or a gateway were set. The newest first."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

from caravan.channels.sms.segments import size_of
from caravan.errors import NotFound
from caravan.store import sandbox
from caravan.store.database import Connection
from caravan.store.sandbox import Page as Page

SMS = "sms"
_SHOWN = 80  # characters of a text message in a list


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
    batch: str | None
    customer: int | None  # of the batch


@dataclass(frozen=True, slots=True)
class KeptMail:
    """One mail or text message, raw and as a reader would see it."""

    id: int
    channel: str
    sender: str  # the envelope's; of a text message empty where the gateway would choose it
    recipient: str
    at: datetime
    headers: list[tuple[str, str]]  # decoded, in their order; of a text message what it takes
    text: str | None
    html: str | None
    raw: bytes  # as it would have gone over the wire (RFC 5322); of a text message its text
    batch: str | None
    customer: int | None  # of the batch

    @property
    def subject(self) -> str:
        """Its subject, or nothing; the beginning of a text message."""
        if self.channel == SMS:
            return _beginning(self.raw)
        return next((value for name, value in self.headers if name.lower() == "subject"), "")


async def list_messages(connection: Connection, wanted: Page | None = None) -> list[KeptMessage]:
    """The newest messages that are asked for."""
    found = await sandbox.page(connection, wanted or Page())
    return [
        KeptMessage(
            each["id"],
            each["channel"],
            each["sender"],
            each["recipient"],
            _beginning(each["head"]) if each["channel"] == SMS else _text(_parsed(each["head"]).get("subject", "")),
            each["bytes"],
            each["at"],
            each["batch"],
            each["customer"],
        )
        for each in found
    ]


async def get_mail(connection: Connection, number: int, customers: Collection[int] | None = None) -> KeptMail:
    """One mail of these customers; None: of whomever. Raises `NotFound` if there is none of this number any more."""
    found = await sandbox.get(connection, number, customers)
    if found is None:
        raise NotFound(f"There is no message {number} in the sandbox; it keeps only the newest.")
    raw = bytes(found["content"])
    headers, text, html = _text_message(raw) if found["channel"] == SMS else _mail(raw)
    envelope = (found["id"], found["channel"], found["sender"], found["recipient"], found["at"])
    return KeptMail(*envelope, headers, text, html, raw, found["batch"], found["customer"])


async def count(connection: Connection) -> int:
    """How many messages are kept."""
    return await sandbox.count(connection)


async def clear(connection: Connection) -> int:
    """Forget all messages; how many."""
    return await sandbox.clear(connection)


_Parts = tuple[list[tuple[str, str]], str | None, str | None]  # headers, text, html


def _mail(raw: bytes) -> _Parts:
    message = _parsed(raw)
    headers = [(name, _text(value)) for name, value in message.items()]
    return headers, _body(message, "plain"), _body(message, "html")


def _text_message(raw: bytes) -> _Parts:
    text = raw.decode("utf-8", "replace")
    size = size_of(text)
    headers = [("Segments", str(size.segments)), ("Encoding", size.encoding)]
    return headers + ([("Because", size.because)] if size.because is not None else []), text, None


def _beginning(head: bytes) -> str:
    """The beginning of a text message, in one line."""
    text = " ".join(bytes(head).decode("utf-8", "replace").split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(bytes(raw), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return None if part is None else _text(part.get_content())


def _text(value: object) -> str:
    """A text that can be written as UTF-8: octets that are none stand in it as half surrogate pairs."""
    return str(value).encode("utf-8", "replace").decode()
