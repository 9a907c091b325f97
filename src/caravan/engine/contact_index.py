"""Where contacts entered, so that one of them is found without reading all files: a filter for each large cohort.

Filters are made in the background, from the files, some time after their contacts entered. Until then, and where the
hash function is another one by now, the file is read as if there was none.
"""

import asyncio
import time
from functools import cache
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from caravan.engine.engine import Engine
from caravan.intake.parse import hash_family, hashes
from caravan.store import contact_filters
from caravan.store.contact_filters import Filter
from caravan.store.files import Files

_AT_ONCE: Final = 50
_SECONDS: Final = 10.0  # that one round may take


async def keep_up(engine: Engine) -> None:
    """Make the filters that are missing, as far as there is time in one round."""
    async with engine.pool.connection() as connection:
        if not await contact_filters.any_large(connection):
            return
    begun, family = time.monotonic(), await asyncio.to_thread(family_of_hashes)
    while time.monotonic() - begun < _SECONDS:
        async with engine.pool.connection() as connection:
            found = await contact_filters.missing(connection, family, _AT_ONCE)
        for cohort, file in found:
            made = await asyncio.to_thread(_filter, engine.files, file)
            async with engine.pool.connection() as connection:
                await contact_filters.put(connection, cohort, family, made)
        if len(found) < _AT_ONCE:
            return


def _filter(files: Files, file: str) -> Filter:
    try:
        with files.local(file) as path:
            ids = pq.read_table(path, columns=["id"])["id"]
    except FileNotFoundError:  # forgotten meanwhile: it has nobody
        ids = pa.chunked_array([[]], pa.string())
    with _duck().cursor() as duck:
        return contact_filters.build(hashes(duck, ids.combine_chunks()))


@cache
def family_of_hashes() -> str:
    """Which hash function this process has. Blocks for some milliseconds the first time."""
    return hash_family()


def hash_of(contact: str) -> int:
    """The hash of an id. Blocks."""
    with _duck().cursor() as duck:
        return int(hashes(duck, pa.array([contact]))[0])


@cache
def _duck() -> duckdb.DuckDBPyConnection:
    """Opened once in a process: that takes longer than to hash 65,536 ids. Each use has a cursor of its own."""
    return duckdb.connect(config={"threads": 1})
