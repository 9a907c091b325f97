"""Reads the lines of one span into parts and rejects: `read_span`. A whole file is one span over everything.

Blocks pass three stations: a thread sifts one and hashes its ids; in the order of the file it is noted which hashes
were there before; a thread writes the part without those; duplicates.py decides about them in the end.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from caravan.intake import strict
from caravan.intake.blocks import Block, Size, Stretch, read_blocks
from caravan.intake.duplicates import (
    LOSER_SCHEMA,
    SUSPECT_SCHEMA,
    Grouped,
    decide,
    to_rejects,
    to_suspects,
)
from caravan.intake.limits import Limits, Progress, database, no_progress
from caravan.intake.parse import hashes
from caravan.intake.parts import PART_SCHEMA, ByLine, Part, split_off, write_part
from caravan.intake.receipt import Receipt
from caravan.intake.rejects import REJECT_SCHEMA, RejectCode, TableFile, count_codes
from caravan.intake.seen import Hashes, Seen
from caravan.intake.sift import Sieve, Sifted
from caravan.intake.survey import Span, owned
from caravan.intake.turns import crew, in_turn

ID_SCHEMA = pa.schema([("hash", pa.uint64()), ("line", pa.int64()), ("id", pa.string())])


def read_span(
    source: Path,
    at: int,
    span: Span,
    folder: Path,
    limits: Limits,
    *,
    progress: Progress | None = None,
    with_ids: bool = True,
) -> Receipt:
    """Reads the lines that a span owns into Parquet parts, a file of rejects and one of ids, all in the empty `folder`.

    The local file `source` begins with byte `at` of the whole file. It must reach to the end of that, or at least
    `limits.row_bytes` + 2 bytes behind the span. Lines and offsets are those of the whole file. Takes long and blocks:
    run it in a thread. `progress` hears now and then how many bytes are done and how many there are, and may raise to
    stop the reading; the exception comes out when all threads have ended.
    """
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(dir=folder, prefix="reading-")))
        connection = stack.enter_context(database(scratch, limits))
        pool = stack.enter_context(crew(limits.threads))
        ids = TableFile(folder / "ids.parquet", ID_SCHEMA, "snappy") if with_ids else None
        reading = _Reading(owned(source, at, span), at, folder, scratch, limits, connection, ids)
        reading.read(pool, progress or no_progress)
        reading.settle()
        return reading.receipt()


@dataclass(frozen=True, slots=True)
class _Sorted:
    """A block whose contacts and rejects are known, and of each contact's hash whether it was there before."""

    block: Block
    sifted: Sifted
    hashes: Hashes  # of the contacts, in their order
    grouped: Grouped
    known: NDArray[np.bool_]  # of the grouped hashes


@dataclass(frozen=True, slots=True)
class _Written:
    """A block that is in files."""

    block: Block
    blank: int
    rejects: pa.Table
    codes: Counter[RejectCode]
    part: Part | None
    suspects: pa.Table
    ids: pa.Table | None


@dataclass(slots=True)
class _Piece:
    """What is remembered of a block."""

    first_line: int
    last_line: int
    part: Part | None


class _Reading:
    """One span on its way."""

    def __init__(
        self,
        stretch: Stretch,
        at: int,
        folder: Path,
        scratch: Path,
        limits: Limits,
        connection: duckdb.DuckDBPyConnection,
        ids: TableFile | None,
    ) -> None:
        self._stretch, self._at, self._folder, self._scratch = stretch, at, folder, scratch
        self._limits, self._connection = limits, connection
        self._sieve = Sieve(limits.row_bytes)
        self._seen = Seen(scratch)
        self._pieces: list[_Piece] = []
        self._lines = self._blank = 0
        self._rejected: Counter[RejectCode] = Counter()
        self._rejects = TableFile(folder / "rejects.parquet", REJECT_SCHEMA, "snappy")  # often written anew
        self._suspects = TableFile(scratch / "suspects.parquet", SUSPECT_SCHEMA, "snappy")
        self._ids = ids

    def read(self, pool: ThreadPoolExecutor, progress: Progress) -> None:
        """Reads all lines; suspects are set aside."""
        limits, stretch = self._limits, self._stretch
        blocks = read_blocks(stretch, Size(limits.cohort_size, limits.block_bytes, limits.row_bytes))
        sifted = in_turn(pool, limits.threads, self._sift, blocks)
        for written in in_turn(pool, limits.threads, self._write, map(self._recall, sifted)):
            self._note(written)
            block, total = written.block, stretch.stop - stretch.start
            progress(min(block.offset + len(block.data) - stretch.offset, total), total)

    def _sift(self, block: Block) -> tuple[Block, Sifted, Hashes, Grouped]:
        with self._connection.cursor() as connection:
            sifted = self._sieve.sift(block, connection)
            found = hashes(connection, sifted.contacts["id"])
        return block, sifted, found, Grouped.of(found)

    def _recall(self, work: tuple[Block, Sifted, Hashes, Grouped]) -> _Sorted:
        return _Sorted(*work, self._seen.add(work[-1].hashes))

    def _write(self, work: _Sorted) -> _Written:
        """Only what is needed later comes back, so that not many blocks stay in memory."""
        repeated = work.grouped.repeated(work.known)
        contacts, suspects = split_off(work.sifted.contacts, repeated)
        return _Written(
            work.block,
            work.sifted.blank,
            work.sifted.rejects,
            count_codes(work.sifted.rejects),
            write_part(self._part_path(work.block.first_line), contacts),
            to_suspects(suspects, work.block),
            pa.table([work.hashes[~repeated], contacts["line"], contacts["id"]], schema=ID_SCHEMA)
            if self._ids
            else None,
        )

    def _part_path(self, first_line: int) -> Path:
        return self._folder / f"part-{first_line:012}.parquet"

    def _note(self, written: _Written) -> None:
        self._lines += len(written.block.ends)
        self._blank += written.blank
        self._rejected += written.codes
        self._pieces.append(_Piece(written.block.first_line, written.block.last_line, written.part))
        self._rejects.append(written.rejects)
        self._suspects.append(written.suspects)
        if self._ids and written.ids:
            self._ids.append(written.ids)

    def settle(self) -> None:
        """Decides about the suspects: they join the rejects, or come back as contacts."""
        if not (suspects := self._suspects.close()):
            return
        losers = self._scratch / "losers.parquet"
        decide(self._connection, suspects, [piece.part.path for piece in self._pieces if piece.part], losers)
        before, self._rejects = self._rejects.close(), TableFile(self._folder / "rejects-all.parquet", REJECT_SCHEMA)
        with ByLine(before, REJECT_SCHEMA) as rejects:
            for piece, lost, back in self._decided(suspects, losers):
                self._rejects.append(pa.concat_tables([rejects.up_to(piece.last_line), lost]).sort_by("line"))
                self._rejected[RejectCode.DUPLICATE] += lost.num_rows
                self._put_back(piece, back)
        if before:
            before.unlink()

    def _decided(self, suspects: Path, losers: Path) -> Iterator[tuple[_Piece, pa.Table, pa.Table]]:
        """For each piece its new rejects, and the suspects that are none."""
        with ByLine(suspects, SUSPECT_SCHEMA) as suspected, ByLine(losers, LOSER_SCHEMA) as lost:
            for piece in self._pieces:
                those, found = suspected.up_to(piece.last_line), lost.up_to(piece.last_line)
                duplicates, others = _separate(those, found["line"].to_numpy())
                yield piece, to_rejects(found, duplicates["offset"], duplicates["row"]), others

    def _put_back(self, piece: _Piece, suspects: pa.Table) -> None:
        """Different ids that share a hash are rare, unless they were made on purpose."""
        if not suspects.num_rows:
            return
        contacts = [PART_SCHEMA.empty_table() if piece.part is None else pq.read_table(piece.part.path)]
        contacts.append(self._read_again(suspects))
        piece.part = write_part(self._part_path(piece.first_line), pa.concat_tables(contacts).sort_by("line"))
        if self._ids:
            with self._connection.cursor() as connection:
                found = hashes(connection, suspects["id"])
            self._ids.append(pa.table([found, suspects["line"], suspects["id"]], schema=ID_SCHEMA))

    def _read_again(self, suspects: pa.Table) -> pa.Table:
        rows = []
        with self._stretch.path.open("rb") as file:
            for line, offset in zip(suspects["line"].to_pylist(), suspects["offset"].to_pylist(), strict=True):
                file.seek(offset - self._at)
                row = strict.classify(file.readline().removesuffix(b"\n"), self._limits.row_bytes)
                assert isinstance(row, strict.Accepted), "A contact whose line isn't one."
                rows.append({"line": line, "id": row.id, "properties": row.properties})
        return pa.Table.from_pylist(rows, schema=PART_SCHEMA)

    def receipt(self) -> Receipt:
        """What became of all lines."""
        parts = [piece.part for piece in self._pieces if piece.part]
        rejected = dict(+self._rejected)
        ids = self._ids.close() if self._ids else None
        return Receipt(self._lines, self._blank, rejected, parts, self._rejects.close(), ids)


def _separate(suspects: pa.Table, lost: NDArray[np.int64]) -> tuple[pa.Table, pa.Table]:
    others, duplicates = split_off(suspects, np.isin(suspects["line"].to_numpy(), lost))
    return duplicates, others
