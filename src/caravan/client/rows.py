"""Contacts as rows: from a table, or from a program's own dicts, to the lines of a file of contacts."""

import csv
import gzip
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import Any
from uuid import UUID

from caravan.errors import InvalidInput

Row = Mapping[str, Any]
RowProgress = Callable[[int, int], None]  # rows sent, bytes sent
_PIECE = 1 << 18  # bytes that are sent together
_AT_ONCE = 10_000  # rows of a Parquet file in memory
_CSV, _PARQUET = (".csv", ".csv.gz"), (".parquet",)


@dataclass(frozen=True, slots=True)
class Rows:
    """Where rows come from. With `id_column` they are flat."""

    source: Iterable[Row] | Callable[[], Iterable[Row]]
    id_column: str | None = None
    progress: RowProgress | None = None

    @property
    def again(self) -> bool:
        """Whether they can be read once more, from the first one on."""
        return callable(self.source) or iter(self.source) is not self.source

    def __iter__(self) -> Iterator[Row]:
        return iter(self.source() if callable(self.source) else self.source)


def ndjson(rows: Rows) -> Iterator[bytes]:
    """A file of contacts in pieces. Raises `InvalidInput` for a row that can't be one, with its number."""
    lines, size, sent = list[bytes](), 0, 0
    number = 0
    for number, row in enumerate(rows, start=1):
        line = _line(row, number, rows.id_column)
        lines.append(line)
        size += len(line)
        if size >= _PIECE:
            yield b"".join(lines)
            sent += size
            lines, size = [], 0
            if rows.progress:
                rows.progress(number, sent)
    if lines:
        yield b"".join(lines)
    if rows.progress:
        rows.progress(number, sent + size)


def _line(row: Row, number: int, id_column: str | None) -> bytes:
    if not isinstance(row, Mapping):
        raise InvalidInput(f"Row {number} is no dict.")
    if id_column is None:
        if "id" not in row or not set(row) <= {"id", "properties"}:
            raise InvalidInput(
                f"Row {number} is not like {{'id': …, 'properties': {{…}}}}; of flat rows, name the id_column."
            )
        id, properties = row["id"], row.get("properties") or {}
    else:
        if row.get(id_column) in (None, ""):
            raise InvalidInput(f"Row {number} has nothing in {id_column!r}, where its id should be.")
        id, properties = row[id_column], {name: value for name, value in row.items() if name != id_column}
    try:
        text = json.dumps({"id": id, "properties": properties}, default=_plain, allow_nan=False, ensure_ascii=False)
        return text.encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"Row {number} can't be sent: {' '.join(str(error).split())}.") from None


def _plain(value: Any) -> Any:
    """What JSON has no form for, as contacts have it: times as ISO 8601, decimals as numbers."""
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is no number in JSON")
        return int(value) if value == value.to_integral_value() and abs(value) < 1 << 53 else float(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def is_table(path: Path) -> bool:
    """Whether a file is one whose columns are properties."""
    return path.name.lower().endswith(_CSV + _PARQUET)


def rows_of_table(path: Path) -> Callable[[], Iterable[Row]]:
    """What reads the rows of a CSV or Parquet file, each time from the first on. Raises `InvalidInput` for one that is
    not there, and, as it reads, for one that is no table."""
    if not path.is_file():
        raise InvalidInput(f"{path} is no file.")
    parquet = path.name.lower().endswith(_PARQUET)
    return lambda: _parquet(path) if parquet else _csv(path)


def _csv(path: Path) -> Iterator[Row]:
    packed = path.name.lower().endswith(".gz")
    csv.field_size_limit(1 << 24)
    with gzip.open(path) if packed else path.open("rb") as source:
        lines = csv.reader(TextIOWrapper(source, encoding="utf-8-sig", newline=""), strict=True)
        number = 0
        try:
            names = next(lines, [])
            if len(set(names)) < len(names) or "" in names:
                raise InvalidInput(f"{path.name}: each column needs a name of its own in the first line.")
            for number, values in enumerate(lines, start=1):
                if not values:
                    continue
                if len(values) != len(names):
                    counts = f"{len(values)} values, and the first line {len(names)} names"
                    raise InvalidInput(f"{path.name}, row {number}: it has {counts}.")
                yield {name: value for name, value in zip(names, values, strict=True) if value != ""}
        except UnicodeDecodeError:
            raise InvalidInput(f"{path.name}, after row {number}: it is not UTF-8.") from None
        except (csv.Error, EOFError, gzip.BadGzipFile) as error:
            raise InvalidInput(f"{path.name}, after row {number}: {error}.") from None


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise InvalidInput("To read Parquet, pyarrow is needed: pip install 'caravan-journeys[parquet]'.") from None
    try:
        with parquet.ParquetFile(path) as source:
            for batch in source.iter_batches(_AT_ONCE):
                for row in batch.to_pylist():
                    yield {name: value for name, value in row.items() if not _is_nothing(value)}
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"{path.name} is no Parquet file: {' '.join(str(error).split())}") from None


def _is_nothing(value: Any) -> bool:
    """Null, or the NaN that data frames write in its place."""
    return value is None or (isinstance(value, float) and math.isnan(value))
