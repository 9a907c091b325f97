r"""The first fast reading: most files repeat one shape, and a regular expression can vouch for a row of that shape.

From some rows that the strict reading accepted a template is learned: the bytes around id and properties, and the
names, in their order, of all members inside. Its pattern is a whole grammar: JSON strings without lone surrogates
and NUL, numbers that are finite, each name once. So a row that matches needs no other check, and its properties are
taken as they stand in the file. RE2 finds out in one pass without backtracking, 150 to 400 MB/s on one core, where
parsing, writing again and collecting the names takes three to four times as long.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caravan.intake.strict import ID_LENGTH, Accepted

MOST_MEMBERS = 80  # beyond that the automaton outgrows RE2's memory and gets slow
MOST_DEPTH = 4

_W = r"[ \t\r]*"
_HEX = "[0-9a-fA-F]"
# RFC 8259 §7, without NUL and with surrogates only in pairs.
_UNICODE = (
    "(?:[1-9abcefABCEF]X{3}|0[1-9a-fA-F]X{2}|00[1-9a-fA-F]X|000[1-9a-fA-F]"
    r"|[dD][0-7]X{2}|[dD][89abAB]X{2}\\u[dD][c-fC-F]X{2})"
).replace("X", _HEX)
_STRING = rf'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u{_UNICODE})*"'
_NUMBER = r"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?"
_SCALAR = rf"{_STRING}|{_NUMBER}|true|false|null"
_STRING_ID = r"[!#-\[\]-~][ !#-\[\]-~]*"  # printable ASCII that begins with a visible character
_NUMBER_ID = r"(?:0|-?[1-9][0-9]*)"

_AROUND = re.compile(
    r'(?P<before>[ \t]*\{[ \t]*"id"[ \t]*:[ \t]*"?)(?P<id>[^"\\]*?)'
    r'(?P<between>"?[ \t]*,[ \t]*"properties"[ \t]*:[ \t]*)\{.*\}(?P<after>[ \t]*\}[ \t]*)\r?',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Around:
    """What surrounds id and properties in each row, byte for byte."""

    before: str
    between: str
    after: str


@dataclass(frozen=True, slots=True)
class Matches:
    """The rows of a shape: their indices in the array that was looked at, and their columns."""

    rows: NDArray[np.int64]
    ids: pa.StringArray
    properties: pa.StringArray


class Template:
    """One shape of row. Immutable, so threads share it."""

    def __init__(self, around: Around, properties: str) -> None:
        self._around = around
        an_id = _STRING_ID if around.before.endswith('"') else _NUMBER_ID
        before, between, after = (_quote(each) for each in (around.before, around.between, around.after))
        self._pattern = f"^{before}{an_id}{between}{properties}{after}\r?\n?$"

    def match(
        self,
        data: memoryview,
        rows: pa.StringArray,
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        wanted: NDArray[np.bool_],
    ) -> Matches:
        """Which of the `wanted` rows have this shape; row i lies in `data` from starts[i] to ends[i], where a newline
        may follow. What RE2 took may still be something else than UTF-8."""
        fits = pc.match_substring_regex(rows, self._pattern).to_numpy(zero_copy_only=False)
        found = np.flatnonzero(fits & wanted)
        # The id holds no quote and no comma where it is a number: the first hit is the one that the pattern took.
        between = pc.find_substring(rows, self._around.between).to_numpy()[found].astype(np.int64)
        id_start = starts[found] + len(self._around.before)
        id_end = starts[found] + between
        start, end = id_end + len(self._around.between), ends[found]
        end = end - (np.frombuffer(data, np.uint8)[end - 1] == ord("\r")) - len(self._around.after)
        short = np.flatnonzero(id_end - id_start <= ID_LENGTH)
        ids, properties = slices(data, (id_start[short], id_end[short]), (start[short], end[short]))
        return Matches(found[short], ids, properties)


Bounds = tuple[NDArray[np.int64], NDArray[np.int64]]  # where each slice starts and ends


def slices(data: memoryview, *bounds: Bounds) -> list[pa.StringArray]:
    """Copies of slices of `data`, which isn't looked at: one array for each of the bounds, all of one length."""
    offsets = np.column_stack([each for pair in bounds for each in pair]).ravel()
    offsets = np.append(offsets, len(data)).astype(np.int32)
    pieces = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
    step = 2 * len(bounds)
    return [pieces.take(pa.array(np.arange(start, len(pieces), step))) for start in range(0, step, 2)]


def learn(rows: list[tuple[bytes, Accepted]]) -> Template | None:
    """The template of the commonest shape among rows that were accepted, or None if they have none to speak of."""
    styles = Counter(style for line, _ in rows if (style := _style(line)))
    if not styles:
        return None
    shape = _Value()
    for line, row in rows:
        if _style(line) == styles.most_common(1)[0][0]:
            shape.see(json.loads(row.properties))
    if shape.members.size() > MOST_MEMBERS or (pattern := shape.members.pattern()) is None:
        return None
    return Template(styles.most_common(1)[0][0], pattern)


def _style(line: bytes) -> Around | None:
    # Unquoted ids would let the pattern's before and between overlap with another kind of value: both or none.
    match = _AROUND.fullmatch(line.decode("utf-8"))
    if not match or match["before"].endswith('"') != match["between"].startswith('"'):
        return None
    return Around(match["before"], match["between"], match["after"])


@dataclass(slots=True)
class _Value:
    """What was seen at one place: always perhaps a scalar, perhaps an object, perhaps an array."""

    members: "_Members" = field(default_factory=lambda: _Members())
    elements: "_Value | None" = None

    def see(self, value: object, depth: int = 0) -> None:
        if isinstance(value, dict) and depth < MOST_DEPTH:
            self.members.see(value, depth)
        elif isinstance(value, list) and depth < MOST_DEPTH:
            self.elements = self.elements or _Value()
            for each in value:
                self.elements.see(each, depth + 1)

    def size(self) -> int:
        return self.members.size() + (2 * self.elements.size() if self.elements else 0)

    def pattern(self) -> str:
        choices = [_SCALAR, self.members.pattern() if self.members.seen or self.members.empty else None]
        if self.elements:
            element = self.elements.pattern()
            choices.append(rf"\[{_W}(?:{element}{_W}(?:,{_W}{element}{_W})*)?\]")
        return f"(?:{'|'.join(filter(None, choices))})"


@dataclass(slots=True)
class _Members:
    """The objects that were seen at one place: their members, and which came right before which."""

    seen: int = 0  # not counting empty ones
    empty: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    before: dict[str, set[str]] = field(default_factory=dict)
    values: dict[str, _Value] = field(default_factory=dict)

    def see(self, members: dict[str, object], depth: int) -> None:
        self.seen += bool(members)
        self.empty = self.empty or not members
        self.counts.update(members.keys())
        for name in members:
            self.before.setdefault(name, set())
        for before, name in pairwise(members):
            self.before[name].add(before)
        for name, value in members.items():
            self.values.setdefault(name, _Value()).see(value, depth + 1)

    def size(self) -> int:
        return sum(1 + each.size() for each in self.values.values())

    def pattern(self) -> str | None:
        """An object whose members keep the order, and in which those that are sometimes missing may be missing.

        None if there is no such order, or if no member is in all objects: then there is nothing to hang commas on.
        """
        try:
            order = list(TopologicalSorter(self.before).static_order())
        except CycleError:
            return None
        always = [name for name in order if self.counts[name] == self.seen]
        if order and not always:
            return None
        members = "".join(self._pieces(order, always[0])) if always else ""
        return rf"\{{{_W}(?:{members}){'?' if self.empty else ''}\}}"

    def _pieces(self, order: list[str], anchor: str) -> list[str]:
        pieces, comma, behind = [], f",{_W}", False
        for name in order:
            member = f"{_quote(json.dumps(name, ensure_ascii=False))}{_W}:{_W}{self.values[name].pattern()}{_W}"
            piece = comma + member if behind else member + ("" if name == anchor else comma)
            pieces.append(piece if self.counts[name] == self.seen else f"(?:{piece})?")
            behind = behind or name == anchor
        return pieces


def _quote(text: str) -> str:
    """`text` as a pattern of RE2 that matches just it."""
    return re.sub(r"([!#-/:-@\[-^`{-~])", r"\\\1", text)
