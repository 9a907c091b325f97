"""Rejects: the rows that were refused, each with its place, its reason and its beginning."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

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


@dataclass(frozen=True, slots=True)
class Reject:
    """One refused row."""

    line: int  # 1-based
    offset: int  # byte in the expanded file where the line starts
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


def read_rejects(path: Path, after_line: int = 0) -> Iterator[Reject]:
    """The rejects in a file behind a line, ordered by line; holds one row group's batch in memory at a time."""
    with pq.ParquetFile(path) as file:
        groups = [each for each in range(file.num_row_groups) if _last_line(file, each) > after_line]
        for batch in file.iter_batches(batch_size=4096, row_groups=groups):
            for row in batch.to_pylist():
                if row["line"] > after_line:
                    yield Reject(**{**row, "code": RejectCode(row["code"])})


def _last_line(file: pq.ParquetFile, group: int) -> int:
    return int(file.metadata.row_group(group).column(0).statistics.max)
