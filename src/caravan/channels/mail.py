"""One mail, from rendered strings to the octets that go over the wire (RFC 5322, MIME)."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Final, Self

from caravan.channels.content import BodyWriter
from caravan.channels.mailbox import Mailbox, clean_text, encoded_words, parse_mailbox
from caravan.errors import NoRecipient, RenderFailed

_LONGEST_SUBJECT: Final = 980  # characters; with its name it fits a line even when it is one word
_WIDTH: Final = 76
_BEFORE_WORD: Final = re.compile(r"(?<=\S)(?= +\S)")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that is ready to be sent to one recipient."""

    sender: str  # the envelope's, where bounces go
    recipient: str
    message_id: str  # with its angle brackets
    content: bytes  # header and body, lines of at most 998 octets that end with CRLF
    enclosed: tuple[bytes, ...] = ()  # what follows behind it, shared with other mails

    @property
    def whole(self) -> bytes:
        """All that goes over the wire, or into a file."""
        return b"".join((self.content, *self.enclosed)) if self.enclosed else self.content

    @property
    def size(self) -> int:
        """The octets of the whole."""
        return len(self.content) + sum(map(len, self.enclosed))


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What the mails of a step version share: made once for each text of From and Reply-To, used many
    times."""

    sender: Mailbox
    head: bytes

    @classmethod
    def of(cls, from_: str, reply_to: str | None = None) -> Self:
        """The sender of the mails, and where answers go. Raises `RenderFailed` for what is not one mail
        address."""
        sender = parse_mailbox(from_, "from")
        head = f"From: {sender.header()}\r\n"
        if reply_to is not None:
            head += f"Reply-To: {parse_mailbox(reply_to, 'reply_to').header()}\r\n"
        return cls(sender, (head + "MIME-Version: 1.0\r\n").encode("utf-8"))


def compose(
    letterhead: Letterhead,
    writer: BodyWriter,
    *,
    to: str | Mailbox,
    subject: str,
    text: str | None,
    html: str | None,
    key: str,
    date: datetime,
    list_headers: bytes = b"",
    own_headers: bytes = b"",
) -> Mail:
    """The mail that goes out under `letterhead` to one contact. The other strings are rendered, and trusted in nothing.

    `key` is the delivery key (delivery/key.py): it makes Message-ID and the boundary, so the same
    contact gets the same octets at each attempt of one `date` (timezone-aware). `list_headers` and `own_headers`
    (`own_header`) are whole lines, which go out as they are. Raises `RenderFailed`, which is final for the contact:
    `to` is not one mail address (`NoRecipient`), or the subject is longer than 980 characters.
    """
    recipient = _recipient(to) if isinstance(to, str) else to
    message_id = f"<{key}@{letterhead.sender.domain}>"
    header = f"To: {recipient.header()}\r\n{_subject(subject)}\r\nDate: {_date(date)}\r\nMessage-ID: {message_id}\r\n"
    headers = letterhead.head + header.encode("utf-8") + list_headers + own_headers
    content = headers + writer.body(text, html, f"=_{key}")
    return Mail(letterhead.sender.address, recipient.address, message_id, content)


def _recipient(to: str) -> Mailbox:
    try:
        return parse_mailbox(to, "to")
    except RenderFailed as error:
        raise NoRecipient(error.message) from None


@lru_cache(maxsize=16)
def _date(date: datetime) -> str:
    """A window of mails shares one date, and writing it is a quarter of a small mail's cost."""
    return format_datetime(date)


def _subject(text: str) -> str:
    clean = clean_text(text)
    if len(clean) > _LONGEST_SUBJECT:
        raise RenderFailed(f"The subject is longer than {_LONGEST_SUBJECT} characters.")
    return _line("Subject: ", clean)


def own_header(name: str, text: str) -> bytes:
    """A header line that the author of a step wants: what would end the line, or begin another, becomes a blank.
    Raises `RenderFailed` where it is too long for one (RFC 5322 §2.1.1)."""
    clean = clean_text(text)
    if len(clean) + len(name) > _LONGEST_SUBJECT:
        raise RenderFailed(f"The header {name} is longer than {_LONGEST_SUBJECT} characters.")
    return f"{_line(f'{name}: ', clean)}\r\n".encode() if clean else b""


def _line(name: str, clean: str) -> str:
    if not clean.isascii() or "=?" in clean:
        return f"{name}{encoded_words(clean)}"
    line = f"{name}{clean}"
    return line if len(line) <= _WIDTH else _folded(name, clean)


def _folded(name: str, text: str) -> str:
    """A header line broken before spaces (RFC 5322 §2.2.3), never into one of spaces alone. Words stay whole."""
    first, *words = _BEFORE_WORD.split(text)
    lines = [name + first]
    for word in words:
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append(word)
        else:
            lines[-1] += word
    return "\r\n".join(lines)
