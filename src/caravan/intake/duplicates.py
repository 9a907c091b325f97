"""Contacts with the same id in one file: the first line counts, the later ones become rejects.

Reading appends a hash of each id to a side file. Sorting the hashes tells which occur twice, in passes that bound
the memory; if none does, which is the rule, the contacts themselves aren't touched again.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caravan.intake.blocks import Block
from caravan.intake.rejects import REJECT_SCHEMA, RejectCode, shown
from caravan.store import sql

PASS = 1 << 24  # hashes that are sorted at a time: 128 MiB


class Losers:
    """The contacts whose id was on an earlier line, in a database of its own that may spill to disk."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._queries = sql.load("caravan.intake", "duplicates.sql")

    def find(self, hashes: Path, parts: list[Path], tick: Callable[[], None], most: int = PASS) -> int:
        """Finds all in `parts`, whose ids have the given hashes in any order; how many there are."""
        self._connection.execute(self._queries.create)
        for repeated in _repeated(hashes, most):
            tick()
            if len(repeated):
                self._connection.register("repeated", pa.table({"hash": repeated}))
                self._connection.execute(self._queries.find, {"parts": [str(each) for each in parts]})
                self._connection.unregister("repeated")
        self._connection.execute(self._queries.arrange)
        return int(self._connection.sql(self._queries.count).fetchall()[0][0])

    def between(self, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of the losers on these lines: their lines, in order, and the lines that count instead."""
        bounds = {"first": first, "last": last}
        found = self._connection.sql(self._queries.between_lines, params=bounds).to_arrow_table()
        return found["line"].to_numpy(), found["first"].to_numpy()


def without(contacts: pa.Table, lines: NDArray[np.int64]) -> tuple[pa.Table, pa.Table]:
    """The contacts that stay, and those that stood on `lines`."""
    lost = np.isin(contacts["line"].to_numpy(), lines, assume_unique=True)
    return contacts.filter(pa.array(~lost)), contacts.filter(pa.array(lost))


def to_rejects(lost: pa.Table, firsts: NDArray[np.int64], block: Block) -> pa.Table:
    """The rejects for contacts of a block that lost to those on the lines `firsts`."""
    index = lost["line"].to_numpy() - block.first_line
    start, end = block.starts[index], block.ends[index]
    first = pa.array(firsts).cast(pa.string())
    message = pc.binary_join_element_wise("The id '", lost["id"], "' was already on line ", first, ".", "")
    code = pa.repeat(pa.scalar(RejectCode.DUPLICATE.value), len(index))
    rows = pa.array([shown(block.data[a:b]) for a, b in zip(start.tolist(), end.tolist(), strict=True)], pa.string())
    return pa.table([lost["line"], pa.array(start + block.offset), code, message, rows], schema=REJECT_SCHEMA)


def _repeated(hashes: Path, most: int) -> Iterator[NDArray[np.uint64]]:
    """The hashes that occur more than once, in one piece for each pass."""
    count = hashes.stat().st_size // 8
    bits = max(0, (-(-count // most) - 1).bit_length())
    for number in range(1 << bits):
        some = _with_top_bits(hashes, number, bits, most)
        some.sort()
        again = some[1:][some[1:] == some[:-1]]
        yield again[np.append(True, again[1:] != again[:-1])] if len(again) else again


def _with_top_bits(hashes: Path, number: int, bits: int, most: int) -> NDArray[np.uint64]:
    if not bits:
        return np.fromfile(hashes, np.uint64)
    found = []
    with hashes.open("rb") as file:
        while len(piece := np.fromfile(file, np.uint64, most // 4)):
            found.append(piece[piece >> np.uint64(64 - bits) == number])
    return np.concatenate(found)
