"""Bloom filters of the contacts by whom large cohorts began: most of those that do not have a contact are known
without their files.

Cohorts of fewer than 4,096 contacts have none: their files are read as quickly.

A filter consists of blocks of 512 bits (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters,
2007): a contact sets some bits in one of them, so one small read says whether it can be there.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caravan.store import sql
from caravan.store.database import Connection, row, rows

_Q = sql.load("caravan.store", "contact_filters.sql")
_BLOCK: Final = 512  # bits
_BITS: Final = 14  # for each contact: one of some two thousand is taken for one that is there
_SHIFTS: Final = (0, 9, 18, 27, 36, 45)  # of the hash, for the places within the block


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter, as it is kept."""

    blocks: int
    bits: bytes


def build(hashes: NDArray[np.uint64]) -> Filter:
    """The filter of contacts with these hashes."""
    blocks = max(1, -(-len(hashes) * _BITS // _BLOCK))
    bits = np.zeros(blocks * _BLOCK, np.bool_)
    start = (_mixed(hashes) % np.uint64(blocks)).astype(np.int64) * _BLOCK
    for shift in _SHIFTS:
        bits[start + ((hashes >> np.uint64(shift)) & np.uint64(_BLOCK - 1)).astype(np.int64)] = True
    return Filter(blocks, np.packbits(bits, bitorder="little").tobytes())


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Which block, before it is known how many there are: by other bits than the places, and by fewer than the signed
    numbers of PostgreSQL have."""
    return (hashes * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(16)


async def any_large(connection: Connection) -> bool:
    """Whether any cohort is so large that it should have a filter."""
    found = await row(connection, _Q.any_large)
    return bool(found and found["there"])


async def missing(connection: Connection, family: str, limit: int) -> list[tuple[int, str]]:
    """Cohorts that should have a filter, the newest first: (id, file)."""
    found = await rows(connection, _Q.missing, family=family, limit=limit)
    return [(each["id"], each["file"]) for each in found]


async def put(connection: Connection, cohort: int, family: str, made: Filter) -> None:
    """Keep a cohort's filter, unless the cohort was deleted."""
    values = {"cohort": cohort, "family": family, "blocks": made.blocks, "bits": made.bits}
    await connection.execute(_Q.put, values)


async def entered(connection: Connection, batch: str, family: str, hashed: int) -> list[str] | None:
    """The files by which a batch's contacts entered and that can have a contact of this hash; None if it is not known
    which cohorts those were, as of older versions."""
    known = await row(connection, _Q.any_entry, batch=batch)
    if not (known and known["there"]):
        return None
    hashes = np.array([hashed], np.uint64)
    places = [int(hashed >> shift) % _BLOCK for shift in _SHIFTS]
    found = await rows(connection, _Q.entered, batch=batch, family=family, block=int(_mixed(hashes)[0]), places=places)
    return [str(each["file"]) for each in found]
