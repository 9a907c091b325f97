"""How a full disk shows, by errors that really come of one."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from procrastinate.exceptions import ConnectorException

from caravan.errors import Unavailable
from caravan.intake.limits import Limits, database
from caravan.intake.seen import _Runs
from caravan.queue import transient
from tests.disk import SmallDisk

LIMITS = Limits(row_bytes=1 << 20, cohort_size=1, expanded_bytes=1, duckdb_memory="40MB", threads=1)


def _python(folder: Path) -> None:
    (folder / "x").write_bytes(b"x")


def _arrow(folder: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), folder / "x")


def _numpy(folder: Path) -> None:
    """The run of hashes that comes of eight others."""
    runs = _Runs(folder)
    for number in range(8):
        runs.add(np.array([number], np.uint64))


def _duckdb(folder: Path) -> None:
    with database(folder, LIMITS) as connection:
        connection.execute(f"copy (select md5(range::varchar) from range(300000)) to '{folder}/x' (format parquet)")


def _spilling(folder: Path) -> None:
    """DuckDB spills no more than there is room on the disk."""
    with database(folder, LIMITS) as connection:
        connection.execute("create table t as select md5(range::varchar) as a from range(3000000) group by 1")


@pytest.mark.parametrize("write", [_python, _arrow, _numpy, _duckdb, _spilling])
def test_a_full_disk_is_transient_and_described_in_the_same_words_whichever_library_meets_it(
    write: Callable[[Path], None], disk: Callable[[int], SmallDisk]
) -> None:
    full = disk(1)
    full.fill()
    with pytest.raises(Exception) as met:
        write(full.seen)
    assert transient.is_transient(met.value)
    assert transient.describe(met.value) == (
        "A disk of Caravan's takes nothing more (No space left on device); once it does again, this goes on by itself."
    )


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EROFS])
def test_a_quota_that_is_used_up_and_a_disk_that_is_read_only_are_the_same(number: int) -> None:
    """PostgreSQL has no code of its own for either, so its words tell."""
    words = os.strerror(number)
    for error in (
        OSError(number, words, "/somewhere/on/the/server"),
        psycopg.errors.InternalError_(f'could not extend file "base/5/1": {words}'),
        psycopg.errors.InsufficientPrivilege(f'could not open file "base/5/1": {words}'),
    ):
        assert transient.is_transient(error)
        assert words in transient.describe(error)
        assert "/somewhere" not in transient.describe(error)


def test_it_is_seen_behind_the_words_of_others() -> None:
    full = psycopg.errors.DiskFull('could not extend file "base/5/1"')
    for kind in (ConnectorException, Unavailable):
        try:
            raise kind() from full
        except Exception as error:
            assert transient.is_transient(error)
            assert transient.describe(error).startswith(
                "PostgreSQL's disk takes nothing more (No space left on device)"
            )


def test_memory_that_is_too_small_and_a_right_that_is_missing_are_not() -> None:
    for error in (
        duckdb.OutOfMemoryException("failed to allocate data of size 1 GiB"),
        psycopg.errors.InsufficientPrivilege("permission denied for table batches"),
    ):
        assert transient.no_room(error) is None
        assert not transient.is_transient(error)
