"""Telling trouble around the work (a database, a disk or a store that is away) from work that itself fails.

The first is waited out, however long it takes; the second stops after a bounded number of tries.
"""

import duckdb
import psycopg
from procrastinate.exceptions import ConnectorException

from caravan.errors import Unavailable

SAME_FAILURES = 5  # failing so often in the same way, work is given up until somebody looks at it
_AROUND = (OSError, psycopg.OperationalError, duckdb.IOException, TimeoutError, Unavailable)


def is_around(error: BaseException) -> bool:
    """Whether the trouble is around the work, and will pass."""
    if isinstance(error, FileNotFoundError):
        return False
    if isinstance(error, ConnectorException) and error.__cause__ is not None:  # the queue's word for the same
        return is_around(error.__cause__)
    return isinstance(error, _AROUND) or type(error).__module__.partition(".")[0] in (
        "botocore",
        "aiobotocore",
        "aiohttp",
    )


def describe(error: BaseException) -> str:
    """An error that nobody foresaw, in one line for the people who wait."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:500] if words else type(error).__name__
