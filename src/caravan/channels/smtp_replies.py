"""Making replies of the octets that come over an SMTP connection (RFC 5321 §4.2)."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from caravan.channels.reply import Reply, Stage

_LONGEST_REPLY: Final = 65_536  # octets without a line end, or lines of one reply
_REPLY_LINE: Final = re.compile(rb"(\d{3})(?:([ -])(.*))?", re.DOTALL)


@dataclass(slots=True)
class ReplyReader:
    """Makes replies of octets as they come."""

    is_endless: bool = False  # more of one reply has come than a reply can have
    _buffer: bytes = b""
    _text: list[bytes] = field(default_factory=list)

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are whole now."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        replies = [reply for line in lines if (reply := self._line(line)) is not None]
        if len(self._buffer) > _LONGEST_REPLY:
            self.is_endless = True
        return replies

    def _line(self, line: bytes) -> Reply | None:
        if not self._text and line[3:4] != b"-":
            return _only_line(line)
        parts = _REPLY_LINE.fullmatch(line.rstrip(b"\r"))
        if parts is None:
            return _only_line(line)
        self._text.append(parts[3] or b"")
        if len(self._text) > _LONGEST_REPLY:
            self.is_endless = True
        if parts[2] == b"-":
            return None
        texts, self._text = self._text, []
        return Reply(int(parts[1]), _joined(texts))


@lru_cache(maxsize=256)
def _only_line(line: bytes) -> Reply:
    """The reply of one line; most are the same for each mail."""
    line = line.rstrip(b"\r")
    parts = _REPLY_LINE.fullmatch(line)
    if parts is None:
        return Reply(0, line.decode("utf-8", "replace"))
    return Reply(int(parts[1]), (parts[3] or b"").decode("utf-8", "replace").strip())


def _joined(lines: list[bytes]) -> str:
    """The text of a reply; of several lines, the enhanced code is said once."""
    texts = [line.decode("utf-8", "replace").strip() for line in lines]
    first, *more = texts
    code = first.partition(" ")[0]
    return " ".join([first, *(text.removeprefix(code).strip() if "." in code else text for text in more)])


def accepts(stage: Stage, reply: Reply) -> bool:
    """Whether the reply to a command before the content is the one that lets go on."""
    if stage is Stage.RCPT:
        return reply.code in (250, 251)
    return reply.code == (354 if stage is Stage.DATA else 250)
