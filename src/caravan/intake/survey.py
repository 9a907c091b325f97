"""One large file in spans that are read by several workers at once: where they are cut, and on which line each begins.

A span is a range of bytes, cut anywhere. It owns the lines that follow a newline in it, and the file's first span owns
the first line too; so every line has one owner, and its last line may end behind it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from caravan.intake.blocks import Stretch

CHUNK = 16 << 20  # bytes
_SEARCHED = 1 << 20  # bytes at once, on the way to the next newline


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `stop` of a file; `first_line` is the number of the first line that it owns.

    That is 1 for the first span, and two more than the newlines before `start` for any other.
    """

    start: int
    stop: int
    first_line: int


@dataclass(slots=True)
class LineCounter:
    """Counts the newlines of a file that passes by in pieces of any size."""

    chunk: int = CHUNK
    counts: list[int] = field(default_factory=lambda: [0])  # newlines before byte 0, `chunk`, 2 x `chunk` …
    _newlines: int = 0
    _bytes: int = 0

    def feed(self, data: bytes) -> None:
        """Takes the next piece of the file."""
        position = 0
        while position < len(data):
            stop = min(len(data), position + self.chunk - self._bytes % self.chunk)
            self._newlines += data.count(b"\n", position, stop)
            self._bytes += stop - position
            position = stop
            if self._bytes % self.chunk == 0:
                self.counts.append(self._newlines)


def spans(size: int, counts: list[int], span_bytes: int, chunk: int = CHUNK) -> list[Span]:
    """A file of `size` bytes, whose newlines a `LineCounter` has counted, in spans of about `span_bytes`."""
    step = max(1, round(span_bytes / chunk))
    starts = range(0, -(-size // chunk), step)
    return [
        Span(number * chunk, min((number + step) * chunk, size), counts[number] + 2 if number else 1)
        for number in starts
    ]


def owned(source: Path, at: int, span: Span) -> Stretch:
    """The lines that a span owns, in a local file whose first byte is byte `at` of the whole file."""
    with source.open("rb") as file:
        start = _behind_newline(file, span.start - at) if span.start else 0
        stop = max(start, _behind_newline(file, span.stop - at))
    return Stretch(source, start, stop, start + at, span.first_line)


def _behind_newline(file: BinaryIO, position: int) -> int:
    """The position behind the first newline at or behind `position`; the end of the file if there is none."""
    file.seek(position)
    while data := file.read(_SEARCHED):
        if (found := data.find(b"\n")) >= 0:
            return position + found + 1
        position += len(data)
    return position if position <= (size := file.seek(0, 2)) else size
