"""Files that can't be what we read, known by their beginning: empty ones, UTF-16 and UTF-32, one JSON array."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from caravan.errors import FileFailed, FileFailure
from caravan.intake.rejects import RejectCode
from caravan.intake.sift import BOM
from caravan.intake.strict import Refused, classify

CHUNK = 1 << 20
_SPACE = b" \t\r\n"
_MARKS = {  # the longer ones first: UTF-32's begins like UTF-16's
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def check_beginning(path: Path, row_bytes: int) -> None:
    """Raises `FileFailed` with `empty`, `unreadable` or `json_array` if the whole file is of no use.

    A file is one array if it begins with a bracket and either its first line isn't complete JSON or no other line
    follows; `[1]` and `[2]` on two lines are rows, and bad ones.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise FileFailed(FileFailure.EMPTY, "The file is empty.")
    if encoding := _wide_encoding(head):
        message = f"The file is {encoding}; save it as UTF-8 and send it again."
        raise FileFailed(FileFailure.UNREADABLE, message)
    if _is_array(path, row_bytes):
        message = "The file is one JSON array; write each contact as an object on a line of its own."
        raise FileFailed(FileFailure.JSON_ARRAY, message)


def is_plain(head: bytes) -> bool:
    """Whether a file that begins so can be read in spans: its rows are objects in plain UTF-8, as it seems. All others
    are looked at whole, for what `check_beginning` and `expand` find."""
    return not _wide_encoding(head) and head.removeprefix(BOM).lstrip(_SPACE + b"\n").startswith(b"{")


def _wide_encoding(head: bytes) -> str | None:
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    # ASCII in a wide encoding has NUL in the same places of every unit; UTF-8 has none at all.
    if len(head) >= 4 and (head[:3] == bytes(3) or head[1:4] == bytes(3)) and any(head[:4]):
        return "UTF-32"
    if (not head[0] and head[1:2].strip(b"\0")) or (head[0] and head[1:2] == b"\0"):
        return "UTF-16"
    return None


def _is_array(path: Path, row_bytes: int) -> bool:
    text = _from_first_character(path)
    line = b""
    for chunk in text:
        if not line and not chunk.startswith(b"["):
            return False
        line, newline, rest = (line + chunk).partition(b"\n")
        if newline:
            return not _is_complete(line, row_bytes) or not (rest.strip(_SPACE) or any(map(_not_blank, text)))
        if len(line) > row_bytes:
            return True
    return bool(line)


def _from_first_character(path: Path) -> Iterator[bytes]:
    """The file in chunks, without the byte order mark and the white space before its first character."""
    with path.open("rb") as file:
        chunk = file.read(CHUNK).removeprefix(BOM)
        while chunk and not (stripped := chunk.lstrip(_SPACE)):
            chunk = file.read(CHUNK)
        while chunk:
            yield stripped
            stripped = chunk = file.read(CHUNK)


def _not_blank(chunk: bytes) -> bool:
    return bool(chunk.strip(_SPACE))


def _is_complete(line: bytes, row_bytes: int) -> bool:
    match classify(line, row_bytes):
        case Refused(RejectCode.NOT_OBJECT, _):
            return True
    return False
