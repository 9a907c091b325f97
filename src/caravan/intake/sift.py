"""One block of lines becomes contacts and rejects: the fast readings first, the strict one for what they leave."""

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caravan.intake import strict
from caravan.intake.blocks import Block, line_ends
from caravan.intake.parse import parse
from caravan.intake.rejects import Reject, shown
from caravan.intake.template import Matches, Template, learn
from caravan.intake.utf8 import not_utf8

BOM = b"\xef\xbb\xbf"
SAMPLE = 200  # rows from which a template is learned
CHECKED = 32  # lines that are decoded together to find those that are not UTF-8
POOR = 0.75  # share of rows below which a template isn't worth keeping

PART_SCHEMA = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("properties", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Sifted:
    """What a block gave: every line of it is blank, a contact or a reject."""

    contacts: pa.Table  # PART_SCHEMA, ordered by line
    rejects: list[Reject]  # ordered by line
    blank: int


class Sieve:
    """Sifts blocks, in several threads at once, and remembers the shape that rows had last."""

    def __init__(self, row_bytes: int) -> None:
        self._row_bytes = row_bytes
        # Threads may overwrite each other's template: that costs time, never a wrong reading.
        self._template: Template | None = None

    def sift(self, block: Block, connection: duckdb.DuckDBPyConnection) -> Sifted:
        """Reads all lines of a block; `connection` is the calling thread's own."""
        rows = _Rows(block)
        left, found = self._by_template(rows, rows.plain(self._row_bytes))
        if len(left):
            parsed = parse(connection, rows.take(left))
            found.append(Matches(left[parsed.rows], parsed.ids, parsed.properties))
            left = np.delete(left, parsed.rows)
        strictly = np.union1d(left, rows.odd(self._row_bytes))
        matches, rejects, blank = self._strictly(rows, strictly)
        return Sifted(_in_order([*found, matches], block.first_line), rejects, blank + rows.blank)

    def _by_template(self, rows: "_Rows", left: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[Matches]]:
        """The rows that are left, and the matches."""
        found: list[Matches] = []
        enough = (1 - POOR) * len(left)
        if self._template:
            left = self._match(self._template, rows, left, found)
        if len(left) > enough and (template := self._learn(rows, left)):
            self._template = template
            left = self._match(template, rows, left, found)
        return left, found

    def _match(
        self, template: Template, rows: "_Rows", left: NDArray[np.int64], found: list[Matches]
    ) -> NDArray[np.int64]:
        found.append(rows.match(template, left))
        return np.setdiff1d(left, found[-1].rows, assume_unique=True)

    def _learn(self, rows: "_Rows", among: NDArray[np.int64]) -> Template | None:
        sample = [rows.line(each) for each in among[:: max(1, len(among) // SAMPLE)].tolist()]
        verdicts = [(line, strict.classify(line, self._row_bytes)) for line in sample]
        return learn([(line, row) for line, row in verdicts if isinstance(row, strict.Accepted)])

    def _strictly(self, rows: "_Rows", which: NDArray[np.int64]) -> tuple[Matches, list[Reject], int]:
        accepted: list[tuple[int, strict.Accepted]] = []
        rejects: list[Reject] = []
        for index in which.tolist():
            line = rows.line(index)
            match strict.classify(line, self._row_bytes):
                case strict.Accepted() as row:
                    accepted.append((index, row))
                case strict.Refused(code, message):
                    rejects.append(Reject(*rows.place(index), code, message, shown(line)))
        matches = Matches(
            np.array([index for index, _ in accepted], np.int64),
            pa.array([row.id for _, row in accepted], pa.string()),
            pa.array([row.properties for _, row in accepted], pa.string()),
        )
        return matches, rejects, len(which) - len(accepted) - len(rejects)


class _Rows:
    """The lines of a block, as bytes, as positions and as an Arrow array that shares the block's memory."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._starts, self._ends = block.starts, block.ends
        if block.first_line == 1 and block.data.startswith(BOM):
            self._starts[0] = len(BOM)
        offsets = np.append(self._starts, len(block.data)).astype(np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(block.data)]
        self._binary = pa.Array.from_buffers(pa.binary(), len(self._starts), buffers)
        self._strings = pa.Array.from_buffers(pa.string(), len(self._starts), buffers)
        self._lengths = self._ends - self._starts
        self._empty = self._lengths == 0
        single = np.flatnonzero(self._lengths == 1)
        self._empty[single] = np.frombuffer(block.data, np.uint8)[self._starts[single]] == ord("\r")
        self._utf8 = self._are_utf8()

    @property
    def blank(self) -> int:
        """Lines that are blank at first sight; those with white space are for the strict reading."""
        return int(np.count_nonzero(self._empty))

    def plain(self, row_bytes: int) -> NDArray[np.int64]:
        """The lines that the fast readings can look at."""
        return np.flatnonzero(~self._empty & self._utf8 & (self._lengths <= row_bytes))

    def odd(self, row_bytes: int) -> NDArray[np.int64]:
        """The lines that are neither blank nor plain."""
        return np.flatnonzero(~self._empty & ~(self._utf8 & (self._lengths <= row_bytes)))

    def line(self, index: int) -> bytes:
        """One line without newline and, where it is the file's first, without the byte order mark."""
        return self._block.data[int(self._starts[index]) : int(self._ends[index])]

    def place(self, index: int) -> tuple[int, int]:
        """Line number and byte offset in the file."""
        start = int(self._ends[index - 1]) + 1 if index else 0
        return self._block.first_line + index, self._block.offset + start

    def take(self, which: NDArray[np.int64]) -> pa.StringArray:
        """Some of the lines, which must be UTF-8, with their newlines."""
        return self._strings if len(which) == len(self._strings) else self._strings.take(pa.array(which))

    def match(self, template: Template, which: NDArray[np.int64]) -> Matches:
        """Those lines of `which` that fit the template."""
        found = template.match(self._block.data, self.take(which), self._starts[which], self._ends[which])
        return Matches(which[found.rows], found.ids, found.properties)

    def _are_utf8(self) -> NDArray[np.bool_]:
        good = np.ones(len(self._starts), np.bool_)
        try:
            self._binary.cast(pa.string())
        except pa.ArrowInvalid:
            good[self._not_utf8()] = False
        return good

    def _not_utf8(self) -> NDArray[np.int64]:
        """The lines that aren't UTF-8. Decoding some lines is quick, so only where that fails each is looked at."""
        suspects, pieces = [], []
        for first in range(0, len(self._starts), CHECKED):
            last = min(first + CHECKED, len(self._starts)) - 1
            piece = self._block.data[int(self._starts[first]) : int(self._ends[last]) + 1]
            if not _is_utf8(piece):
                suspects.append(np.arange(first, last + 1))
                pieces.append(piece)
        found = b"".join(pieces)
        return np.concatenate(suspects)[np.searchsorted(line_ends(found), not_utf8(found))]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _in_order(found: list[Matches], first_line: int) -> pa.Table:
    """The contacts of all readings, as they stood in the file."""
    found = [each for each in found if len(each.rows)] or found[:1]
    rows = np.concatenate([each.rows for each in found])
    columns = [
        pa.array(rows + first_line, pa.int64()),
        pa.concat_arrays([each.ids for each in found]),
        pa.concat_arrays([each.properties for each in found]),
    ]
    table = pa.table(columns, schema=PART_SCHEMA)
    return table if len(found) == 1 else table.take(pa.array(np.argsort(rows)))
