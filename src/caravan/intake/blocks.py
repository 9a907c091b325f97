"""A file of lines in blocks: each a bounded number of bytes and lines, cut at line ends, with every line's place."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

NEWLINE = 10
FIRST_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive lines of a file, whole, except that a line which is too long is cut.

    `ends[i]` is where line i ends in `data`, its newline not counted; the next line starts behind the newline.
    """

    first_line: int  # 1-based
    offset: int  # of `data` in the whole file
    data: memoryview
    ends: NDArray[np.int64]

    @property
    def last_line(self) -> int:
        """The number of the last line."""
        return self.first_line + len(self.ends) - 1

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing in it but newlines."""
        return _is_bare(self.data, self.ends)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each line starts in `data`."""
        return np.concatenate((np.zeros(1, np.int64), self.ends[:-1] + 1))

    def line(self, index: int) -> bytes:
        """The bytes of one line (0 is the block's first) without its newline."""
        start = int(self.ends[index - 1]) + 1 if index else 0
        return bytes(self.data[start : int(self.ends[index])])


@dataclass(frozen=True, slots=True)
class Size:
    """What bounds a block."""

    lines: int  # but for those that are all empty: they cost little, and become no contacts
    bytes: int
    row_bytes: int  # a line that is longer may be cut to `row_bytes` + 1 bytes


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole lines that follow each other, as bytes `start` to `stop` of a local file."""

    path: Path
    start: int
    stop: int
    offset: int  # in the whole file of the byte at `start`, should `path` be only a piece of that
    first_line: int


def _is_bare(data: memoryview, ends: NDArray[np.int64]) -> bool:
    return 0 < len(data) == len(ends) and data[-1] == NEWLINE


def line_ends(data: memoryview | bytes, ended: bool = True) -> NDArray[np.int64]:
    """Where the lines in `data` end; if nothing follows, the last one may lack its newline."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == NEWLINE)
    return np.append(ends, len(data)) if ended and len(data) and data[-1] != NEWLINE else ends


def read_blocks(stretch: Stretch, size: Size) -> Iterator[Block]:
    """All lines of a stretch, in order. Nothing behind the last newline is no line; no bytes are no lines."""
    with stretch.path.open("rb", buffering=0) as file:
        file.seek(stretch.start)
        yield from _Cutter(file, stretch, size).blocks()


class _Cutter:
    """Reads ahead just far enough that most blocks are full and little is read or searched twice.

    Blocks are views of what was read: a copy of each costs more than finding its lines.
    """

    def __init__(self, file: BinaryIO, stretch: Stretch, size: Size) -> None:
        self._file = file
        self._size = size
        self._most = max(size.bytes, size.row_bytes + 2)
        self._least = self._want = min(self._most, FIRST_READ)
        self._line, self._offset = stretch.first_line, stretch.offset
        self._left = stretch.stop - stretch.start

    def blocks(self) -> Iterator[Block]:
        rest, ended = memoryview(b""), False
        while not ended:
            data = self._read(rest, max(self._want - len(rest), self._least))
            ended = len(data) == len(rest)
            rest = yield from self._cut(data, ended)

    def _read(self, head: memoryview, most: int) -> memoryview:
        """`head` and up to `most` bytes that follow it in the file; only `head` if there are none."""
        most = min(most, self._left)
        data = np.empty(len(head) + most, np.uint8).data  # not zeroed, unlike a bytearray
        data[: len(head)] = head
        position = len(head)
        while position < len(data) and (got := self._file.readinto(data[position:])):  # type: ignore[attr-defined]
            position += got
        self._left -= position - len(head)
        return data[:position]

    def _cut(self, data: memoryview, ended: bool) -> Generator[Block, None, memoryview]:
        ends = line_ends(data, ended)
        if _is_bare(data, ends):
            yield self._block(data, ends)
            return data[len(data) :]
        full = len(data) >= self._most
        position = index = 0
        while (lines := len(ends) - index) >= self._size.lines or (lines and (ended or full)):
            last = min(index + self._size.lines, len(ends))
            stop = int(ends[last - 1]) + 1
            yield self._block(data[position:stop], ends[index:last] - position)
            position, index = stop, last
        self._aim(len(data), len(ends))
        rest = data[position:]
        return (yield from self._skip(rest)) if full and not position else rest

    def _block(self, data: memoryview, ends: NDArray[np.int64]) -> Block:
        block = Block(self._line, self._offset, data, ends)
        self._line += len(ends)
        self._offset += len(data)
        return block

    def _aim(self, read: int, lines: int) -> None:
        expected = (read * self._size.lines) // lines if lines else 2 * read
        self._want = min(self._most, max(self._least, expected + expected // 32))

    def _skip(self, head: memoryview) -> Generator[Block, None, memoryview]:
        """One line that no block can hold: a block of its beginning; what follows it comes back."""
        start = self._offset
        kept = bytes(head[: self._size.row_bytes + 1])
        yield self._block(memoryview(kept + b"\n"), np.array([len(kept)]))
        passed, more = len(head), head
        while not len(found := line_ends(more, ended=False)) and len(more):
            more = self._read(memoryview(b""), self._most)
            passed += len(more)
        rest = more[int(found[0]) + 1 :] if len(found) else memoryview(b"")
        self._offset = start + passed - len(rest)
        return rest
