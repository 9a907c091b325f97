"""Parts: the Parquet files of contacts that become cohorts, ordered by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

ROW_GROUP = 16_384  # contacts; senders read slices of a few hundred

PART_SCHEMA = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("properties", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Part:
    """One cohort: a Parquet file with line BIGINT, id VARCHAR and properties VARCHAR (the text of a JSON object)."""

    path: Path
    size: int  # contacts


def write_part(path: Path, contacts: pa.Table) -> Part | None:
    """A part of some contacts; without any there is none, and no file."""
    if not contacts.num_rows:
        path.unlink(missing_ok=True)
        return None
    pq.write_table(
        contacts, path, compression="snappy", use_dictionary=False, row_group_size=ROW_GROUP, write_statistics=["line"]
    )
    return Part(path, contacts.num_rows)


def lines_of(path: Path) -> tuple[int, int]:
    """The lowest and the highest line in a Parquet file that has rows."""
    with pq.ParquetFile(path) as file:
        column = file.schema_arrow.get_field_index("line")
        groups = [file.metadata.row_group(group).column(column).statistics for group in range(file.num_row_groups)]
    return min(each.min for each in groups), max(each.max for each in groups)


def split_off(contacts: pa.Table, mask: NDArray[np.bool_]) -> tuple[pa.Table, pa.Table]:
    """The contacts that stay, and those where the mask is true."""
    if not mask.any():
        return contacts, contacts.slice(0, 0)
    return contacts.filter(pa.array(~mask)), contacts.filter(pa.array(mask))


class ByLine:
    """Takes rows from the front of a Parquet file that is ordered by line; holds some ten thousand at a time."""

    def __init__(self, path: Path | None, schema: pa.Schema) -> None:
        self._file = pq.ParquetFile(path) if path else None
        self._batches: Iterator[pa.RecordBatch] = self._file.iter_batches() if self._file else iter(())
        self._schema = schema
        self._rest = schema.empty_table()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def up_to(self, line: int) -> pa.Table:
        """The next rows, those up to this line."""
        taken = [self._take(line)]
        while not self._rest.num_rows and (batch := next(self._batches, None)) is not None:
            self._rest = pa.Table.from_batches([batch]).cast(self._schema)
            taken.append(self._take(line))
        return pa.concat_tables(taken)

    def _take(self, line: int) -> pa.Table:
        count = int(np.searchsorted(self._rest["line"].to_numpy(), line, side="right"))
        taken, self._rest = self._rest.slice(0, count), self._rest.slice(count)
        return taken
