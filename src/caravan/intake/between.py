"""Contacts with the same id in different spans of a file: found by hash, decided by id, taken out."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from caravan.intake.blocks import Block, Size, read_blocks
from caravan.intake.duplicates import LOSER_SCHEMA, QUERIES, name_the_first, places, to_rejects
from caravan.intake.limits import Limits, Progress, database, no_progress
from caravan.intake.parse import hashes
from caravan.intake.parts import ByLine, Part, lines_of, split_off, write_part
from caravan.intake.rejects import REJECT_SCHEMA, TableFile
from caravan.intake.seen import Hashes
from caravan.intake.survey import Span, owned
from caravan.intake.turns import crew, in_turn

BUCKET = 1 << 24  # hashes that are sorted at a time: 128 MiB


def find_losers(
    ids: Sequence[Path | None],
    folder: Path,
    limits: Limits,
    *,
    progress: Progress | None = None,
    rehash: bool = False,
    bucket: int = BUCKET,
) -> list[Path | None]:
    """For each span, whose `ids` are given in the order of the file, its contacts whose id is on an earlier line.

    They come as Parquet files in `folder`: line BIGINT, id VARCHAR, first BIGINT (the first line with that id), ordered
    by line; None for a span that has no such contact. Set `rehash` if not all spans were read with the hash function of
    this process (`parse.hash_family`). `progress` hears how many contacts were looked at, and how many there are.
    """
    files = [each for each in ids if each]
    if not files:
        return [None for _ in ids]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(dir=folder, prefix="finding-")))
        connection = stack.enter_context(database(scratch, limits, limits.threads))
        buckets = _scatter(_hashes(connection, files, rehash, progress or no_progress), _size(files), bucket, scratch)
        repeated = scratch / "repeated.parquet"
        if not _write_repeated(buckets, repeated):
            return [None for _ in ids]
        losers = scratch / "losers.parquet"
        sources = {"ids": [str(each) for each in files], "repeated": str(repeated), "target": str(losers)}
        connection.execute(QUERIES.find, {**sources, "rehash": rehash})
        targets = [folder / f"losers-{number:06}.parquet" for number in range(len(ids))]
        return [_of_span(connection, losers, *pair) for pair in zip(ids, targets, strict=True)]


def _size(files: list[Path]) -> int:
    return sum(pq.read_metadata(each).num_rows for each in files)


def _hashes(
    connection: duckdb.DuckDBPyConnection, files: list[Path], rehash: bool, progress: Progress
) -> Iterator[Hashes]:
    done, total = 0, _size(files)
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["id" if rehash else "hash"]):
                column = batch.column(0)
                yield hashes(connection, column) if rehash else column.to_numpy()
                progress(done := done + len(column), total)


def _scatter(found: Iterator[Hashes], count: int, most: int, folder: Path) -> list[Path]:
    """The hashes in files by their top bits, each with about `most`."""
    bits = max(0, (-(-count // most) - 1).bit_length())
    borders = np.array([number << (64 - bits) for number in range(1, 1 << bits)], np.uint64)
    paths = [folder / f"bucket-{number}" for number in range(1 << bits)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for some in found:
            ascending = np.sort(some)
            for file, piece in zip(files, np.split(ascending, np.searchsorted(ascending, borders)), strict=True):
                file.write(piece.data)
    return paths


def _write_repeated(buckets: list[Path], target: Path) -> Path | None:
    """The hashes that occur more than once."""
    file = TableFile(target, pa.schema([("hash", pa.uint64())]), "snappy")
    for path in buckets:
        some = np.fromfile(path, np.uint64)
        some.sort()
        file.append(pa.table({"hash": np.unique(some[1:][some[1:] == some[:-1]])}))
        path.unlink()
    return file.close()


def _of_span(connection: duckdb.DuckDBPyConnection, losers: Path, ids: Path | None, target: Path) -> Path | None:
    if ids is None:
        return None
    first, last = lines_of(ids)
    bounds = {"losers": str(losers), "first": first, "last": last, "target": str(target)}
    connection.execute(QUERIES.between_lines, bounds)
    if pq.read_metadata(target).num_rows:
        return target
    target.unlink()
    return None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A span without its losers."""

    parts: list[Part | None]  # as given: the same if it lost no contact, written anew, or None if none is left
    rejects: Path  # all rejects of the span
    losers: int


def drop_losers(
    parts: list[Part],
    rejects: Path | None,
    losers: Path,
    source: Path,
    at: int,
    span: Span,
    folder: Path,
    limits: Limits,
    *,
    progress: Progress | None = None,
) -> Dropped:
    """Takes the contacts that `find_losers` found out of a span's parts and adds their rejects, in the empty `folder`.

    `source`, `at` and `span` are those that were read (`span.read_span`). Files that are given stay as they are.
    """
    with crew(limits.threads) as pool, ByLine(losers, LOSER_SCHEMA) as lost:
        work = ((part, lost.up_to(lines_of(part.path)[1]), folder) for part in parts)
        left = list(in_turn(pool, limits.threads, _without, work))
    target = TableFile(folder / "rejects.parquet", REJECT_SCHEMA)
    all_lost = pq.read_table(losers, columns=["line", "first"])
    with ByLine(losers, LOSER_SCHEMA) as lost, ByLine(rejects, REJECT_SCHEMA) as before:
        for block in _blocks(source, at, span, limits, progress or no_progress):
            found = lost.up_to(block.last_line)
            new = to_rejects(found, *places(found["line"].to_numpy(), block))
            old = name_the_first(before.up_to(block.last_line), all_lost)
            target.append(pa.concat_tables([old, new]).sort_by("line"))
    written = target.close()
    assert written is not None, "Losers that aren't in their span."
    return Dropped(left, written, len(all_lost))


def _without(work: tuple[Part, pa.Table, Path]) -> Part | None:
    part, losers, folder = work
    if not losers.num_rows:
        return part
    contacts = pq.read_table(part.path)
    stay, _ = split_off(contacts, np.isin(contacts["line"].to_numpy(), losers["line"].to_numpy()))
    return write_part(folder / part.path.name, stay)


def _blocks(source: Path, at: int, span: Span, limits: Limits, progress: Progress) -> Iterator[Block]:
    stretch = owned(source, at, span)
    for block in read_blocks(stretch, Size(limits.cohort_size, limits.block_bytes, limits.row_bytes)):
        yield block
        done = block.offset + len(block.data) - stretch.offset
        progress(done, stretch.stop - stretch.start)


def join_rejects(paths: list[Path], target: Path) -> Path | None:
    """The rejects of some spans, given in their order, in one file; None if there are none."""
    joined = TableFile(target, REJECT_SCHEMA)
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                joined.append(file.read_row_group(group).cast(REJECT_SCHEMA))
    return joined.close()
