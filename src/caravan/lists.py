"""Long lists as files: NDJSON for programs, exact to the character, or CSV for spreadsheets (RFC 4180).

A cell that a spreadsheet would take for a formula, by its first character, begins with an apostrophe in CSV; so a row
of somebody's file can't make the spreadsheet of who looks at it do something.
"""

import csv
import io
import json
from collections.abc import Generator, Iterable, Sequence
from datetime import datetime
from enum import StrEnum

NDJSON, CSV = "application/x-ndjson", "text/csv"
Row = Sequence[object]
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # OWASP, CSV injection


class Form(StrEnum):
    """How a list is written."""

    NDJSON = "ndjson"
    CSV = "csv"

    @property
    def media(self) -> str:
        """Its media type."""
        return f"{CSV}; charset=utf-8; header=present" if self is Form.CSV else NDJSON


def pieces(form: Form, columns: Sequence[str], rows: Iterable[Sequence[Row]]) -> Generator[str, None, None]:
    """A list as text, some rows at a time, as they come; the header comes with the first of them."""
    first = head(form, columns)
    try:
        for some in rows:
            yield first + written(form, columns, some)
            first = ""
        yield first
    finally:
        if isinstance(rows, Generator):  # it may hold a file
            rows.close()


def head(form: Form, columns: Sequence[str]) -> str:
    """What a list begins with: in CSV its header."""
    return _csv([columns]) if form is Form.CSV else ""


def written(form: Form, columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Some rows as text."""
    return _csv(rows) if form is Form.CSV else _ndjson(columns, rows)


def _ndjson(columns: Sequence[str], rows: Sequence[Row]) -> str:
    return "".join(
        json.dumps(dict(zip(columns, map(_value, row), strict=True)), ensure_ascii=False) + "\n" for row in rows
    )


def _csv(rows: Iterable[Row]) -> str:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\r\n").writerows([_cell(_value(each)) for each in row] for row in rows)
    return sink.getvalue()


def _value(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _cell(value: object) -> object:
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
