"""What the tests of intake share: a reader of bytes, and the reading of a whole file as the policy defines it."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from caravan.intake.reading import Limits, Receipt, read_contacts
from caravan.intake.rejects import Reject, read_rejects


@dataclass(frozen=True)
class Result:
    """A receipt, and all that lies in its files."""

    receipt: Receipt
    contacts: list[tuple[int, str, str]]
    rejects: list[Reject]


def limits(
    row_bytes: int = 1 << 20,
    cohort_size: int = 65_536,
    expanded_bytes: int = 1 << 30,
    block_bytes: int = 1 << 20,
) -> Limits:
    """Limits as in production, but for what a test asks."""
    return Limits(row_bytes, cohort_size, expanded_bytes, duckdb_memory="256MB", threads=2, block_bytes=block_bytes)


def read_bytes(data: bytes, folder: Path, limits: Limits) -> Result:
    """Reads a file of these bytes in a new `folder`."""
    (folder / "out").mkdir(parents=True)
    source = folder / "contacts.ndjson"
    source.write_bytes(data)
    receipt = read_contacts(source, folder / "out", limits)
    contacts = [
        (row["line"], row["id"], row["properties"])
        for part in receipt.parts
        for row in pq.read_table(part.path).to_pylist()
    ]
    return Result(receipt, contacts, list(read_rejects(receipt.rejects)) if receipt.rejects else [])


def read_lines(
    *lines: str | bytes,
    folder: Path,
    block_bytes: int = 1 << 20,
    row_bytes: int = 1 << 20,
    cohort_size: int = 65_536,
) -> Result:
    """Reads lines, joined by newlines, as a file of contacts in a new `folder`."""
    data = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return read_bytes(data, folder, limits(row_bytes, cohort_size, block_bytes=block_bytes))
