"""Contacts with the same id in one file: the first line counts, the later ones become rejects.

While blocks are read, a contact whose hash was there before is set aside as a suspect, so that parts are written
without it. In the end the ids themselves tell which suspects lost; another that only shares a hash comes back.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caravan.intake.blocks import Block
from caravan.intake.rejects import REJECT_SCHEMA, SHOWN, RejectCode
from caravan.intake.seen import Hashes
from caravan.intake.template import slices
from caravan.store import sql

SUSPECT_SCHEMA = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("row", pa.string(), nullable=False),
    ]
)
LOSER_SCHEMA = pa.schema([("line", pa.int64()), ("id", pa.string()), ("first", pa.int64())])

QUERIES = sql.load("caravan.intake", "duplicates.sql")


@dataclass(frozen=True, slots=True)
class Grouped:
    """The hashes of a block's contacts: each that occurs, ascending, and the first contact that has it."""

    hashes: Hashes
    firsts: NDArray[np.int64]  # indices of contacts
    size: int  # contacts

    @classmethod
    def of(cls, hashes: Hashes) -> "Grouped":
        """The hashes of contacts in their order."""
        order = np.argsort(hashes)
        ascending = hashes[order]
        starts = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1])[: len(hashes)])
        firsts = np.minimum.reduceat(order, starts) if len(starts) else order
        return cls(ascending[starts], firsts, len(hashes))

    def repeated(self, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which contacts have a hash that an earlier one has; `known` are the hashes of earlier blocks."""
        mask = np.ones(self.size, np.bool_)
        mask[self.firsts[~known]] = False
        return mask


def to_suspects(contacts: pa.Table, block: Block) -> pa.Table:
    """Contacts of a block with what their rejects would show, as `SUSPECT_SCHEMA`."""
    if not contacts.num_rows:
        return SUSPECT_SCHEMA.empty_table()
    offsets, rows = places(contacts["line"].to_numpy(), block)
    return pa.table([contacts["line"], contacts["id"], offsets, rows], schema=SUSPECT_SCHEMA)


def places(lines: NDArray[np.int64], block: Block) -> tuple[pa.Array, pa.Array]:
    """Offsets in the file and beginnings of some lines of a block, which are UTF-8."""
    index = lines - block.first_line
    start = block.starts[index]
    (rows,) = slices(block.data, (start, block.ends[index]))
    return pa.array(start + block.offset), pc.utf8_slice_codeunits(rows, 0, SHOWN)


def decide(connection: duckdb.DuckDBPyConnection, suspects: Path, parts: list[Path], target: Path) -> None:
    """Writes which suspects have an id that is on an earlier line, as `LOSER_SCHEMA`, ordered by line.

    All other contacts are in the parts.
    """
    files = {"suspects": str(suspects), "parts": [str(each) for each in parts], "target": str(target)}
    connection.execute(QUERIES.decide, files)


def to_rejects(losers: pa.Table, offsets: pa.Array, rows: pa.Array) -> pa.Table:
    """The rejects for losers, whose lines begin at `offsets` with `rows`."""
    begun = pc.binary_join_element_wise("The id '", losers["id"], "' was already on line ", "")
    code = pa.repeat(pa.scalar(RejectCode.DUPLICATE.value), len(losers))
    return pa.table([losers["line"], offsets, code, _end(begun, losers["first"]), rows], schema=REJECT_SCHEMA)


def _end(begun: pa.ChunkedArray, first: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(begun, first.cast(pa.string()), ".", "")


_MESSAGE = r"^(?P<begun>(?s:The id '.*' was already on line ))(?P<first>[0-9]+)\.$"


def name_the_first(rejects: pa.Table, losers: pa.Table) -> pa.Table:
    """Rejects as they are, only that those which name a loser's line name the one that it lost to.

    So a third contact names the first, when the second was the first in its own span. `losers` are ordered by line.
    """
    named = pc.extract_regex(rejects["message"], _MESSAGE)
    lines = pc.struct_field(named, "first").cast(pa.int64()).fill_null(0).to_numpy()
    places = np.minimum(np.searchsorted(losers["line"].to_numpy(), lines), len(losers) - 1)
    message = _end(pc.struct_field(named, "begun"), losers["first"].take(pa.array(places)))
    lost = pa.array(losers["line"].to_numpy()[places] == lines)
    column = rejects.schema.get_field_index("message")
    return rejects.set_column(column, REJECT_SCHEMA.field(column), pc.if_else(lost, message, rejects["message"]))
