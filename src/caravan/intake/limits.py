"""What one reading may take of a machine, and how it reports its progress."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from caravan.settings import Settings

BLOCK_BYTES = 16 << 20  # of text in one block, and so in one part

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one reading may take."""

    row_bytes: int  # a longer row is rejected
    cohort_size: int  # contacts in a part, at most
    expanded_bytes: int  # of a compressed file
    duckdb_memory: str  # like "512MB"
    threads: int
    block_bytes: int = BLOCK_BYTES

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


def no_progress(done: int, total: int) -> None:
    """Reports the progress to nothing."""


@contextmanager
def database(folder: Path, limits: Limits, threads: int = 1) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that spills to `folder`; by default one thread for each query, because each block is a
    query of its own and they run side by side."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": threads,
        "memory_limit": limits.duckdb_memory,
        "temp_directory": str(folder / "spilled"),
        "async_threads": 0,  # with them, a write that fails may leave its query waiting for ever (duckdb#23885)
    }
    with duckdb.connect(":memory:", config=config) as connection:
        yield connection
