"""One block of lines becomes contacts and rejects: the fast readings first, the strict one for what they leave."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caravan.intake import strict
from caravan.intake.blocks import Block
from caravan.intake.parse import parse
from caravan.intake.parts import PART_SCHEMA
from caravan.intake.refuse import Refusals, alike, not_json, not_utf8
from caravan.intake.rejects import REJECT_SCHEMA, SHOWN, RejectCode, shown
from caravan.intake.template import Matches, Template, learn, slices
from caravan.intake.utf8 import broken_texts

BOM = b"\xef\xbb\xbf"
SAMPLE = 200  # rows from which a template is learned
FEW = 1000  # rows that are read strictly sooner than DuckDB has made its plan
SHORT = 64  # bytes of white space that are seen to be a blank line without the strict reading
POOR = 0.75  # share of rows below which a template isn't worth keeping

_SHOWN_STRICTLY = pa.array([RejectCode.NOT_UTF8.value, RejectCode.TOO_LONG.value])  # all others are UTF-8

_IS_SPACE = np.isin(np.arange(256), list(strict.SPACE.encode()))


@dataclass(frozen=True, slots=True)
class Sifted:
    """What a block gave: every line of it is blank, a contact or a reject."""

    contacts: pa.Table  # PART_SCHEMA, ordered by line
    rejects: pa.Table  # REJECT_SCHEMA, ordered by line
    blank: int


class Sieve:
    """Sifts blocks, in several threads at once, and remembers the shape that rows had last."""

    def __init__(self, row_bytes: int) -> None:
        self._row_bytes = row_bytes
        # Threads may overwrite each other's template: that costs time, never a wrong reading.
        self._template: Template | None = None

    def sift(self, block: Block, connection: duckdb.DuckDBPyConnection) -> Sifted:
        """Reads all lines of a block; `connection` is the calling thread's own."""
        if block.is_bare:
            return Sifted(PART_SCHEMA.empty_table(), REJECT_SCHEMA.empty_table(), len(block.ends))
        rows = _Rows(block, self._row_bytes)
        if rows.blank == len(block.ends):
            return Sifted(PART_SCHEMA.empty_table(), REJECT_SCHEMA.empty_table(), rows.blank)
        left, found = self._by_template(rows)
        refused: list[Refusals] = []
        if len(left) > FEW:
            left = self._by_parser(rows, left, connection, found, refused)
        blank = self._strictly(rows, np.union1d(left, rows.too_long), found, refused)
        return Sifted(_in_order(found, block.first_line), _to_rejects(rows, refused), blank + rows.blank)

    def _by_template(self, rows: "_Rows") -> tuple[NDArray[np.int64], list[Matches]]:
        """The rows that are left, and the matches."""
        left = rows.plain
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

    def _by_parser(
        self,
        rows: "_Rows",
        left: NDArray[np.int64],
        connection: duckdb.DuckDBPyConnection,
        found: list[Matches],
        refused: list[Refusals],
    ) -> NDArray[np.int64]:
        """The rows that are left; contacts and refusals are added."""
        texts = rows.take(left)
        refused.append(not_utf8(texts, self._reader(rows, left)).of(left))
        readable = np.setdiff1d(left, refused[-1].rows, assume_unique=True)
        texts = rows.take(readable)
        parsed = parse(connection, texts)
        found.append(replace(parsed.contacts, rows=readable[parsed.contacts.rows]))
        refused.append(alike(parsed.refused, parsed.reasons, self._reader(rows, readable)).of(readable))
        rest = np.setdiff1d(readable, np.concatenate((found[-1].rows, refused[-1].rows)), assume_unique=True)
        if len(rest):
            refused.append(not_json(rows.take(rest), self._reader(rows, rest)).of(rest))
        return np.setdiff1d(rest, refused[-1].rows, assume_unique=True)

    def _reader(self, rows: "_Rows", which: NDArray[np.int64]) -> Callable[[int], strict.Verdict]:
        """The strict reading of one of some rows."""
        return lambda index: strict.classify(rows.line(int(which[index])), self._row_bytes)

    def _learn(self, rows: "_Rows", among: NDArray[np.int64]) -> Template | None:
        sample = [rows.line(each) for each in among[:: max(1, len(among) // SAMPLE)].tolist()]
        verdicts = [(line, strict.classify(line, self._row_bytes)) for line in sample]
        return learn([(line, row) for line, row in verdicts if isinstance(row, strict.Accepted)])

    def _strictly(self, rows: "_Rows", which: NDArray[np.int64], found: list[Matches], refused: list[Refusals]) -> int:
        """The number of blank lines; contacts and refusals are added."""
        accepted: list[tuple[int, strict.Accepted]] = []
        bad: list[tuple[int, strict.Refused]] = []
        for index in which.tolist():
            match strict.classify(rows.line(index), self._row_bytes):
                case strict.Accepted() as row:
                    accepted.append((index, row))
                case strict.Refused() as refusal:
                    bad.append((index, refusal))
        found.append(
            Matches(
                np.array([index for index, _ in accepted], np.int64),
                pa.array([row.id for _, row in accepted], pa.string()),
                pa.array([row.properties for _, row in accepted], pa.string()),
            )
        )
        refused.append(
            Refusals(
                np.array([index for index, _ in bad], np.int64),
                pa.array([refusal.code for _, refusal in bad], pa.string()),
                pa.array([refusal.message for _, refusal in bad], pa.string()),
            )
        )
        return len(which) - len(accepted) - len(bad)


def _to_rejects(rows: "_Rows", refused: list[Refusals]) -> pa.Table:
    # Column by column, because an object for each reject would cost as much as finding out why it is one.
    all_of_them = Refusals.join(refused)
    order = np.argsort(all_of_them.rows)
    lines, offsets = rows.places(all_of_them.rows[order])
    codes, messages = (each.take(pa.array(order)) for each in (all_of_them.codes, all_of_them.messages))
    beginnings = rows.shown(all_of_them.rows[order], codes)
    return pa.table([lines, offsets, codes, messages, beginnings], schema=REJECT_SCHEMA)


class _Rows:
    """The lines of a block, as bytes, as positions and as an Arrow array that shares the block's memory.

    What isn't UTF-8 is in that array too: matching a pattern does no harm to it, and what matched is looked at then.
    """

    def __init__(self, block: Block, row_bytes: int) -> None:
        self._block = block
        self._starts, self._ends = block.starts, block.ends
        if block.first_line == 1 and block.data[: len(BOM)] == BOM:
            self._starts[0] = len(BOM)
        offsets = np.append(self._starts, len(block.data)).astype(np.int32)
        buffers = [pa.py_buffer(offsets), pa.py_buffer(block.data)]
        self._strings = pa.StringArray.from_buffers(len(self._starts), *buffers)
        lengths = self._ends - self._starts
        long = lengths > row_bytes
        blank = _blank(np.frombuffer(block.data, np.uint8), self._starts, lengths) & ~long
        self.blank = int(np.count_nonzero(blank))  # at first sight; much white space is for the strict reading
        self.plain = np.flatnonzero(~(blank | long))  # what the fast readings can look at
        self.too_long = np.flatnonzero(long)

    def line(self, index: int) -> bytes:
        """One line without newline and, where it is the file's first, without the byte order mark."""
        return bytes(self._block.data[int(self._starts[index]) : int(self._ends[index])])

    def places(self, which: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Line numbers and byte offsets in the file."""
        return which + self._block.first_line, self._block.starts[which] + self._block.offset

    def take(self, which: NDArray[np.int64]) -> pa.StringArray:
        """Copies of some lines, with their newlines."""
        return self._strings.take(pa.array(which))

    def shown(self, which: NDArray[np.int64], codes: pa.StringArray) -> pa.StringArray:
        """The beginnings of refused lines."""
        odd = pc.is_in(codes, _SHOWN_STRICTLY).to_numpy(zero_copy_only=False)
        plain = which[~odd]
        (texts,) = slices(self._block.data, (self._starts[plain], self._ends[plain]))
        bounds = zip(self._starts[which[odd]].tolist(), self._ends[which[odd]].tolist(), strict=True)
        strictly = pa.array([shown(bytes(self._block.data[start:end])) for start, end in bounds], pa.string())
        both = pa.concat_arrays([pc.utf8_slice_codeunits(texts, 0, SHOWN), strictly])
        return both.take(pa.array(np.argsort(np.concatenate((plain, which[odd])))))

    def match(self, template: Template, which: NDArray[np.int64]) -> Matches:
        """Those lines of `which` that fit the template."""
        wanted = np.zeros(len(self._starts), np.bool_)
        wanted[which] = True
        # Passing over some lines for nothing costs less than a copy of the others.
        if 2 * len(which) > len(wanted):
            found = template.match(self._block.data, self._strings, self._starts, self._ends, wanted)
        else:
            starts, ends = self._starts[which], self._ends[which]
            found = template.match(self._block.data, self.take(which), starts, ends, wanted[which])
            found = Matches(which[found.rows], found.ids, found.properties)
        return _readable(found)


def _blank(data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which lines have no byte, or a few that are white space."""
    blank = np.asarray(lengths == 0)
    left = np.flatnonzero((lengths > 0) & (lengths <= SHORT))
    for place in range(SHORT):
        if not len(left):
            break
        left = left[_IS_SPACE[data[starts[left] + place]]]
        ended = lengths[left] == place + 1
        blank[left[ended]] = True
        left = left[~ended]
    return blank


def _readable(found: Matches) -> Matches:
    """Only matches whose properties are UTF-8: RE2 lets surrogates and overlong forms pass. The ids are ASCII, and what
    surrounds both is as in the rows that the template was learned from."""
    if not len(broken := broken_texts(found.properties)):
        return found
    rest = np.delete(np.arange(len(found.rows)), broken)
    return Matches(found.rows[rest], found.ids.take(pa.array(rest)), found.properties.take(pa.array(rest)))


def _in_order(found: list[Matches], first_line: int) -> pa.Table:
    """The contacts of all readings, as they stood in the file."""
    found = [each for each in found if len(each.rows)] or found[:1]
    if len(found) == 1:  # joining would copy them
        (only,) = found
        return pa.table([pa.array(only.rows + first_line), only.ids, only.properties], schema=PART_SCHEMA)
    rows = np.concatenate([each.rows for each in found])
    columns = [
        pa.array(rows + first_line, pa.int64()),
        pa.concat_arrays([each.ids for each in found]),
        pa.concat_arrays([each.properties for each in found]),
    ]
    return pa.table(columns, schema=PART_SCHEMA).take(pa.array(np.argsort(rows)))
