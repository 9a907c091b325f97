"""Spans of one file against each other: who is in an earlier one too, and everybody's rejects as one file."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from caravan.intake.blocks import Size, read_blocks
from caravan.intake.duplicates import LOSER_SCHEMA, QUERIES, places, point_to_firsts, to_rejects
from caravan.intake.limits import Limits, Progress, database
from caravan.intake.parse import hashes
from caravan.intake.parts import ByLine, Part, lines_of, split_off, write_part
from caravan.intake.rejects import REJECT_SCHEMA, RejectCode, TableFile
from caravan.intake.span import SpanReceipt
from caravan.intake.survey import Span, owned

_PROBES = ["", "a", "0123456789ab", "0123456789abc", "Zoë" * 40]  # DuckDB keeps up to 12 bytes in another way
_LAST_LINE = 1 << 62


def hash_family(folder: Path, limits: Limits) -> str:
    """A short text that two machines share just when they hash ids in the same way."""
    with database(folder, limits) as connection:
        found = hashes(connection, pa.array(_PROBES))
    return hashlib.sha256(found.tobytes()).hexdigest()[:16]


def find_losers(
    ids: list[Path], first_lines: list[int], folder: Path, limits: Limits, *, rehash: bool = False
) -> list[Path | None]:
    """For each span, given by its first line, the file of its contacts whose id is on a line of an earlier one; None
    if it has no such contact.

    `ids` are what reading the spans left (`SpanReceipt.ids`), without the losers inside of each; `rehash` if they were
    not all hashed in the same way. Files have `LOSER_SCHEMA` and are ordered by line. DuckDB spills what memory can't
    hold. Takes long and blocks.
    """
    if not ids:
        return [None] * len(first_lines)
    everyone = folder / "losers.parquet"
    found: list[Path | None] = []
    with database(folder, limits, limits.threads) as connection:
        paths = [str(each) for each in ids]
        connection.execute(QUERIES.find, {"ids": paths, "rehash": rehash, "target": str(everyone)})
        for first, after in zip(first_lines, [*first_lines[1:], _LAST_LINE], strict=True):
            target = folder / f"losers-{first:012}.parquet"
            bounds = {"losers": str(everyone), "first": first, "last": after - 1, "target": str(target)}
            connection.execute(QUERIES.between_lines, bounds)
            found.append(target if pq.read_metadata(target).num_rows else None)
    everyone.unlink()
    return found


def drop_losers(
    receipt: SpanReceipt,
    losers: Path,
    source: Path,
    at: int,
    span: Span,
    folder: Path,
    limits: Limits,
    *,
    progress: Progress,
) -> SpanReceipt:
    """The receipt of a span whose losers have become rejects.

    A part that has losers is written again into `folder`; a part that has none stays what it is, and so do the files
    that are given. `source` and `at` as for `read_span`. Blocks.
    """
    parts = _without(receipt.parts, losers, folder, progress)
    lost = receipt.entered - sum(part.size for part in parts)
    rejected = Counter(receipt.rejected) + Counter({RejectCode.DUPLICATE: lost})
    size = Size(limits.cohort_size, limits.block_bytes, limits.row_bytes)
    rejects = TableFile(folder / "rejects-all.parquet", REJECT_SCHEMA)
    firsts = pq.read_table(losers, columns=["line", "first"])
    with ByLine(losers, LOSER_SCHEMA) as left, ByLine(receipt.rejects, REJECT_SCHEMA) as before:
        for block in read_blocks(owned(source, at, span), size):
            those = left.up_to(block.last_line)
            fresh = to_rejects(those, *places(those["line"].to_numpy(), block))
            known = point_to_firsts(before.up_to(block.last_line), firsts)
            rejects.append(pa.concat_tables([known, fresh]).sort_by("line"))
            progress(block.offset, span.stop)
    return SpanReceipt(receipt.lines, receipt.blank, dict(rejected), parts, rejects.close(), None)


def _without(parts: list[Part], losers: Path, folder: Path, progress: Progress) -> list[Part]:
    kept = []
    with ByLine(losers, LOSER_SCHEMA) as left:
        for done, part in enumerate(parts):
            progress(done, len(parts))
            first, last = lines_of(part.path)
            lines = left.up_to(last)["line"].to_numpy()
            kept.append(_rewritten(part, lines, folder / f"part-{first:012}.parquet") if len(lines) else part)
    return [part for part in kept if part]


def _rewritten(part: Part, lines: "np.ndarray[tuple[int], np.dtype[np.int64]]", path: Path) -> Part | None:
    contacts = pq.read_table(part.path)
    stay, _ = split_off(contacts, np.isin(contacts["line"].to_numpy(), lines))
    return write_part(path, stay)


def join_rejects(paths: list[Path], target: Path) -> Path | None:
    """The rejects of several spans, given in their order, as one file; None if there are none."""
    joined = TableFile(target, REJECT_SCHEMA)
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                joined.append(file.read_row_group(group).cast(REJECT_SCHEMA))
    return joined.close()
