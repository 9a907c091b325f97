"""The benchmarks' contacts: made the same each time, like a shop's export, and what should come of each file."""

import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from caravan.intake.rejects import RejectCode
from caravan.samples import BAD_ROWS, NAMES

_LAST = ["Öberg", "Müller", "Smith", "García", "Novák", "Иванова", "Ó Briain"]
_CITIES = ["Malmö", "København", "Oslo", "Zürich", "São Paulo", "Kraków", "Utrecht"]
_FILLER = "Der schnelle braune Fuchs springt über den faulen Hund. Příliš žluťoučký kůň úpěl. "
_CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file is like: each `bad`-th row is bad, each `repeated`-th has the id of an earlier one; 0 is none."""

    name: str
    bad: int = 200
    repeated: int = 1000
    row_bytes: int = 0  # rows are filled up to so many bytes, about
    packed: bool = False  # with gzip


STANDARD = Shape("standard")
SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        STANDARD,
        Shape("clean", bad=0, repeated=0),
        Shape("bad-1", bad=100),
        Shape("bad-10", bad=10),
        Shape("bad-50", bad=2),
        Shape("duplicates", bad=0, repeated=1),
        Shape("gzip", packed=True),
        Shape("wide", row_bytes=2048),
    )
}


@dataclass(slots=True)
class Made:
    """A file of contacts, and the ledger's first lines that it must give."""

    path: Path
    bytes: int = 0  # of text, before it is packed
    lines: int = 0
    entered: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


def write_file(path: Path, rows: int, shape: Shape = STANDARD) -> Made:
    """A file of `rows` lines. With `shape.packed` its name gets `.gz`."""
    target = path.with_name(path.name + ".gz") if shape.packed else path
    made = Made(target)
    numbers = iter(range(1, rows + 1))
    with gzip.open(target, "wb", compresslevel=1) if shape.packed else target.open("wb") as file:
        while some := list(islice(numbers, _CHUNK)):
            text = b"\n".join(_line(number, shape, made) for number in some) + b"\n"
            made.bytes += len(text)
            file.write(text)
    return made


def write_copy(path: Path, rows: int) -> int:
    """The accepted contacts of the standard file as text for PostgreSQL's COPY: id and properties; how many."""
    with path.open("w", encoding="utf-8") as file:
        accepted = [n for n in range(1, rows + 1) if _is_good(n, STANDARD)]
        for start in range(0, len(accepted), _CHUNK):
            some = accepted[start : start + _CHUNK]
            file.writelines(f"c-{number:08}\t{{{_members(number)}}}\n" for number in some)
    return len(accepted)


def contact(number: int) -> dict[str, object]:
    """The properties of one contact of the standard file."""
    found: dict[str, object] = json.loads(f"{{{_members(number)}}}")
    return found


def _line(number: int, shape: Shape, made: Made) -> bytes:
    made.lines += 1
    if shape.bad and number % shape.bad == 0:
        row, code = _bad_row(number, number // shape.bad % len(BAD_ROWS), shape)
        made.rejected[code] += 1
        return row
    if _is_repeated(number, shape):
        made.rejected[RejectCode.DUPLICATE] += 1
        return _row(1, number, shape)
    made.entered += 1
    return _row(number, number, shape)


def _bad_row(number: int, kind: int, shape: Shape) -> tuple[bytes, RejectCode]:
    """A row that is bad as one of the samples is; no two are the same, as in an export."""
    row, code = BAD_ROWS[kind]
    if code is RejectCode.NOT_JSON:  # cut off anywhere
        return _row(number, number, shape).decode()[: 20 + number % 97].encode(), code
    return row.replace(b'"x"', b'"c-%08d"' % number).replace(b"1.5", b"%d.5" % number), code


def _is_good(number: int, shape: Shape) -> bool:
    return not (shape.bad and number % shape.bad == 0) and not _is_repeated(number, shape)


def _is_repeated(number: int, shape: Shape) -> bool:
    """Row 1 is the one that others repeat; that must not be bad, and the repeated ones must not either."""
    if shape.bad and number % shape.bad == 0:
        return False
    return bool(shape.repeated) and number > 1 and number % shape.repeated == (1 if shape.repeated > 1 else 0)


def _row(contact_number: int, number: int, shape: Shape) -> bytes:
    row = f'{{"id": "c-{contact_number:08}", "properties": {{{_members(number)}'
    if shape.row_bytes:
        row += f', "notes": "{(_FILLER * 40)[: shape.row_bytes - len(row.encode()) - 24]}"'
    return (row + "}}").encode()


def _members(number: int) -> str:
    """Five to ten properties: which ones a row has differs, without a rhythm, as in an export."""
    chance = number * 2_654_435_761 % 4_294_967_296 >> 8  # Knuth's multiplicative hash: 24 bits that look random
    members = (
        f'"emailAddress": "c{number}@example.com", "firstname": "{NAMES[chance % 12]}", '
        f'"attributeName": "{"yes" if chance % 3 else "no"}", "city": "{_CITIES[chance % 7]}", "ltv": {chance % 500}'
    )
    if chance & 0x1:
        members += f', "lastname": "{_LAST[chance % 7]}"'
    if chance & 0x6 == 0:
        members += f', "signup": "2025-{chance % 12 + 1:02}-{chance % 28 + 1:02}"'
    if chance & 0x38 == 0:
        members += f', "phone": "+467{number:08}"'
    if chance & 0x40:
        members += ', "newsletter": true'
    if chance & 0x780 == 0:
        members += f', "score": {chance % 97}.25'
    return members
