"""Rejects: the rows that were refused, each with its place, its reason and its beginning."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

SHOWN = 200  # characters of a refused row that are kept


class RejectCode(StrEnum):
    """Why a row was refused; docs/contacts-file.md describes each."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    MISSING_ID = "missing_id"
    BAD_ID = "bad_id"
    BAD_PROPERTIES = "bad_properties"
    TOO_LONG = "too_long"
    DUPLICATE = "duplicate"
    REENTRY_REFUSED = "reentry_refused"


@dataclass(frozen=True, slots=True)
class Reject:
    """One refused row."""

    line: int  # 1-based
    offset: int  # byte in the expanded file where the line starts; -1 for reentry_refused, when the file is read
    code: RejectCode
    message: str  # one sentence
    row: str  # its first 200 characters; bytes that aren't UTF-8 show as U+FFFD


REJECT_SCHEMA = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("row", pa.string(), nullable=False),
    ]
)


def shown(row: bytes) -> str:
    """The first 200 characters of a row, whatever its bytes are."""
    return row[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN]


def count_codes(rejects: pa.Table) -> Counter[RejectCode]:
    """How many rejects of a table have each code."""
    counts = pc.value_counts(rejects["code"]).to_pylist()
    return Counter({RejectCode(each["values"]): each["counts"] for each in counts})


class TableFile:
    """A Parquet file that grows by one row group a table; no file exists before the first row."""

    def __init__(self, path: Path, schema: pa.Schema, compression: str = "zstd") -> None:
        self._path, self._schema, self._compression = path, schema, compression
        self._writer: pq.ParquetWriter | None = None

    def append(self, rows: pa.Table) -> None:
        """Writes rows, if there are any."""
        if not rows.num_rows:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path,
                self._schema,
                compression=self._compression,
                use_dictionary=["code"],
                write_statistics=["line"],
            )
        self._writer.write_table(rows, row_group_size=rows.num_rows)

    def close(self) -> Path | None:
        """Completes the file; its path, or None when there was no row."""
        if self._writer is None:
            return None
        self._writer.close()
        return self._path


def read_rejects(path: Path, after_line: int = 0, code: RejectCode | None = None) -> Iterator[Reject]:
    """The rejects in a file behind a line, or those of one reason, ordered by line; holds one row group's batch in
    memory at a time."""
    with pq.ParquetFile(path) as file:
        groups = [each for each in range(file.num_row_groups) if _last_line(file, each) > after_line]
        for batch in file.iter_batches(batch_size=4096, row_groups=groups):
            wanted = pc.greater(batch["line"], after_line)
            if code is not None:
                wanted = pc.and_(wanted, pc.equal(batch["code"], code.value))
            yield from _rejects(batch.filter(wanted))


def first_rejects(path: Path, wanted: Mapping[RejectCode, int]) -> dict[RejectCode, list[Reject]]:
    """The first rejects of each reason in a file, so many as are wanted; those that there are."""
    found: dict[RejectCode, list[Reject]] = {code: [] for code in wanted}
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            missing = {code: count - len(found[code]) for code, count in wanted.items() if len(found[code]) < count}
            if not missing:
                break
            codes = file.read_row_group(group, columns=["code"])["code"]
            places = [_places(codes, code)[:count] for code, count in missing.items()]
            if any(map(len, places)):
                rows = file.read_row_group(group).take(pa.array(np.sort(np.concatenate(places))))
                for each in _rejects(rows):
                    found[each.code].append(each)
    return found


def _places(codes: pa.ChunkedArray, code: RejectCode) -> NDArray[np.int64]:
    return np.flatnonzero(pc.equal(codes, code.value).to_numpy())


def _rejects(rows: pa.RecordBatch | pa.Table) -> Iterator[Reject]:
    for row in rows.to_pylist():
        yield Reject(**{**row, "code": RejectCode(row["code"])})


def _last_line(file: pq.ParquetFile, group: int) -> int:
    return int(file.metadata.row_group(group).column(0).statistics.max)
