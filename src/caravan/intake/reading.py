"""From a file of lines to the cohorts that enter: `read_contacts` does it whole, in bounded memory."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from caravan.errors import FileFailed, FileFailure
from caravan.intake.blocks import Block, Size, line_ends, read_blocks
from caravan.intake.duplicates import Losers, to_rejects, without
from caravan.intake.expand import Encoding, expand
from caravan.intake.parse import hashes
from caravan.intake.receipt import Part, Receipt
from caravan.intake.rejects import REJECT_SCHEMA, RejectCode, RejectFile, read_rejects, to_table
from caravan.intake.sift import Sieve
from caravan.intake.whole import check_beginning
from caravan.settings import Settings

__all__ = ["Limits", "Part", "Receipt", "read_contacts"]

BLOCK_BYTES = 16 << 20  # of text in one block, and so in one part
ROW_GROUP = 16_384  # contacts; senders read slices of a few hundred

Progress = Callable[[int, int], None]
Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one reading may take."""

    row_bytes: int  # a longer row is rejected
    cohort_size: int  # contacts in a part, at most
    expanded_bytes: int  # of a compressed file
    duckdb_memory: str  # like "512MB"
    threads: int

    @classmethod
    def from_settings(cls, settings: Settings) -> "Limits":
        """The limits that the settings ask for."""
        return cls(
            row_bytes=settings.max_row_bytes,
            cohort_size=settings.cohort_size,
            expanded_bytes=settings.max_expanded_bytes,
            duckdb_memory=settings.duckdb_memory,
            threads=settings.threads or os.cpu_count() or 1,
        )


def read_contacts(
    source: Path,
    folder: Path,
    limits: Limits,
    *,
    encoding: Encoding | None = None,
    progress: Progress | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Receipt:
    """Reads a file of contacts into Parquet parts and a file of rejects, all in the empty local `folder`.

    Takes long and blocks: run it in a thread. `progress` hears now and then how many bytes are done and how many
    there are (while a compressed file is expanded: of those packed), and may raise to stop the reading; the exception
    comes out when all threads have ended, and what was written is left. Raises `FileFailed` for a file that can't be
    read as one (`empty`, `unreadable`, `json_array`, `too_large`). If no row of it can be used, the receipt says so
    in `failure`.
    """
    progress = progress or _nobody
    text = expand(source, folder, encoding, limits.expanded_bytes, progress)
    check_beginning(text, limits.row_bytes)
    with ExitStack() as stack:
        database = stack.enter_context(_database(folder, limits))
        pool = stack.enter_context(_pool(limits.threads))
        reading = _Reading(text, folder, limits, database, pool, progress)
        reading.read(block_bytes)
        reading.remove_duplicates()
    receipt = reading.receipt()
    if text != source:
        text.unlink()
    return receipt


@dataclass(slots=True)
class _Piece:
    """What is remembered of a block: its place in the file, and what it gave."""

    offset: int
    length: int  # bytes
    first_line: int
    lines: int
    blank: int
    rejected: Counter[RejectCode]
    reject_group: int | None  # in the file of rejects
    part: Part | None

    @property
    def last_line(self) -> int:
        return self.first_line + self.lines - 1


@dataclass(frozen=True, slots=True)
class _Read:
    """A block that a thread has read."""

    block: Block
    blank: int
    rejects: pa.Table
    codes: Counter[RejectCode]
    part: Part | None
    hashes: NDArray[np.uint64]


class _Reading:
    """One file on its way: blocks are read by threads and collected in their order."""

    def __init__(
        self,
        text: Path,
        folder: Path,
        limits: Limits,
        database: duckdb.DuckDBPyConnection,
        pool: ThreadPoolExecutor,
        progress: Progress,
    ) -> None:
        self._text, self._folder, self._limits = text, folder, limits
        self._database, self._pool, self._progress = database, pool, progress
        self._total = text.stat().st_size
        self._sieve = Sieve(limits.row_bytes)
        self._pieces: list[_Piece] = []
        self._hashes = folder / "hashes"
        self._rejects: Path | None = None

    def read(self, block_bytes: int) -> None:
        """Reads all lines into parts and rejects; duplicates are still in."""
        blocks = read_blocks(self._text, Size(self._limits.cohort_size, block_bytes, self._limits.row_bytes))
        file = RejectFile(self._folder / "rejects.parquet")
        with self._hashes.open("wb") as hash_file:
            for read in _in_turn(self._pool, self._limits.threads, self._read_block, blocks):
                read.hashes.tofile(hash_file)
                self._pieces.append(_piece(read, file.append(read.rejects)))
                self._progress(min(read.block.offset + len(read.block.data), self._total), self._total)
        self._rejects = file.close()

    def remove_duplicates(self) -> None:
        """Rewrites the parts that hold a contact whose id was on an earlier line, and the rejects."""
        tick = partial(self._progress, self._total, self._total)
        losers = Losers(self._database)
        parts = [piece.part.path for piece in self._pieces if piece.part]
        if not parts or not losers.find(self._hashes, parts, tick):
            return
        merged = RejectFile(self._folder / "rejects-all.parquet")
        work = ((piece, *losers.between(piece.first_line, piece.last_line)) for piece in self._pieces)
        for piece, lost in _in_turn(self._pool, self._limits.threads, self._remove, work):
            merged.append(_merge(lost, self._rejects, piece.reject_group))
            piece.rejected[RejectCode.DUPLICATE] += lost.num_rows
            tick()
        if self._rejects:
            self._rejects.unlink()
        self._rejects = merged.close()

    def receipt(self) -> Receipt:
        """What became of all lines. Raises `FileFailed` if all of them are blank."""
        rejected = sum((piece.rejected for piece in self._pieces), Counter[RejectCode]())
        parts = [piece.part for piece in self._pieces if piece.part]
        lines, blank = (sum(getattr(piece, name) for piece in self._pieces) for name in ("lines", "blank"))
        if lines == blank:
            raise FileFailed(FileFailure.EMPTY, "The file has only blank lines.")
        self._hashes.unlink()
        entered = sum(part.size for part in parts)
        failure = None if entered else _all_bad(lines - blank, self._rejects)
        return Receipt(lines, blank, entered, dict(rejected), parts, self._rejects, failure)

    def _read_block(self, block: Block) -> _Read:
        with self._database.cursor() as connection:
            sifted = self._sieve.sift(block, connection)
            path = self._folder / f"part-{block.first_line:012}.parquet"
            part = _write(path, sifted.contacts)
            codes = Counter(each.code for each in sifted.rejects)
            found = hashes(connection, sifted.contacts["id"]) if part else np.empty(0, np.uint64)
        return _Read(block, sifted.blank, to_table(sifted.rejects), codes, part, found)

    def _remove(self, task: tuple[_Piece, NDArray[np.int64], NDArray[np.int64]]) -> tuple[_Piece, pa.Table]:
        """Takes the losers out of a piece's part; the piece, and the rejects that they become."""
        piece, lines, firsts = task
        if piece.part is None or not len(lines):
            return piece, REJECT_SCHEMA.empty_table()
        stay, lost = without(pq.read_table(piece.part.path), lines)
        block = self._block_again(piece)
        piece.part.path.unlink()
        piece.part = _write(piece.part.path, stay)
        return piece, to_rejects(lost, firsts, block)

    def _block_again(self, piece: _Piece) -> Block:
        with self._text.open("rb") as file:
            file.seek(piece.offset)
            data = file.read(piece.length)
        return Block(piece.first_line, piece.offset, data, line_ends(data))


def _nobody(done: int, total: int) -> None:
    """Hears the progress when nobody else wants to."""


@contextmanager
def _database(folder: Path, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    # One thread for each query, because each block is a query of its own and they run side by side.
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": limits.duckdb_memory,
        "temp_directory": str(folder / "spilled"),
    }
    with duckdb.connect(":memory:", config=config) as connection:
        yield connection


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="intake")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_turn(
    pool: ThreadPoolExecutor, ahead: int, work: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[Result]:
    """The results in the order of the tasks, of which only a few are under way at any moment."""
    waiting: deque[Future[Result]] = deque()
    for task in tasks:
        waiting.append(pool.submit(work, task))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _piece(read: _Read, reject_group: int | None) -> _Piece:
    block = read.block
    return _Piece(
        offset=block.offset,
        length=len(block.data),
        first_line=block.first_line,
        lines=len(block.ends),
        blank=read.blank,
        rejected=read.codes,
        reject_group=reject_group,
        part=read.part,
    )


def _write(path: Path, contacts: pa.Table) -> Part | None:
    if not contacts.num_rows:
        return None
    pq.write_table(contacts, path, compression="snappy", use_dictionary=False, row_group_size=ROW_GROUP)
    return Part(path, contacts.num_rows)


def _merge(lost: pa.Table, rejects: Path | None, group: int | None) -> pa.Table:
    if rejects is None or group is None:
        return lost
    with pq.ParquetFile(rejects) as file:
        return pa.concat_tables([lost, file.read_row_group(group).cast(REJECT_SCHEMA)]).sort_by("line")


def _all_bad(rows: int, rejects: Path | None) -> FileFailed:
    assert rejects is not None, "Rows that were neither taken nor refused."
    first = next(read_rejects(rejects))
    if rows == 1:
        message = f"The only row can't be used. The problem on line {first.line}: {first.message}"
    else:
        message = f"None of the {rows:,} rows can be used. The first problem is on line {first.line}: {first.message}"
    return FileFailed(FileFailure.TOO_MANY_REJECTS, message)
