"""Telling trouble around the work (a database, a disk or a store that is away) from work that itself fails.

The first is waited out, however long it takes; the second stops after a bounded number of tries.
"""

import errno
import os
import re

import duckdb
import psycopg
from procrastinate.exceptions import ConnectorException

from caravan.errors import CaravanError, Unavailable
from caravan.store.database import AWAY

SAME_FAILURES = 5  # failing so often in the same way, work is given up until somebody looks at it
# From the root on, in quotes (with spaces inside) or not; what follows a word, a colon or a slash is part of a URL.
_PATH = re.compile(r"""(?<=')/[^']*(?=')|(?<=")/[^"]*(?=")|(?<![\w:/.%-])/[\w.~-][^\s'",;:)\]]*""")
_AROUND = (OSError, *AWAY, duckdb.IOException, TimeoutError, Unavailable)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_SPILL = "max_temp_directory_size"  # DuckDB's limit for what it spills; it is what is free on the disk


def is_transient(error: BaseException) -> bool:
    """Whether the trouble is around the work, and will pass."""
    if isinstance(error, FileNotFoundError):
        return False
    if isinstance(error, ConnectorException) and error.__cause__ is not None:  # the queue's word for the same
        return is_transient(error.__cause__)
    return (
        isinstance(error, _AROUND)
        or no_room(error) is not None
        or type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp")
    )


def no_room(error: BaseException) -> str | None:
    """The system's words if a disk is full, over its quota or read-only, ours or PostgreSQL's; else None."""
    error = _root(error)
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno in _NO_ROOM else None
    if isinstance(error, psycopg.errors.DiskFull):  # in whatever language PostgreSQL says it
        return os.strerror(errno.ENOSPC)
    if not isinstance(error, psycopg.Error | duckdb.Error):
        return None
    if isinstance(error, duckdb.OutOfMemoryException) and _SPILL in str(error):
        return os.strerror(errno.ENOSPC)
    return next((words for words in map(os.strerror, _NO_ROOM) if words in str(error)), None)


def _root(error: BaseException) -> BaseException:
    """What is behind an error that says it in other words."""
    while isinstance(error, ConnectorException | Unavailable) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def describe(error: BaseException) -> str:
    """Why work does not go on, in one line for the customer. It tells nothing of this machine, like its paths or
    where its database is; its operator finds the error as it was in the log."""
    if (full := no_room(error)) is not None:
        disk = "PostgreSQL's disk" if isinstance(_root(error), psycopg.Error) else "A disk of Caravan's"
        return f"{disk} takes nothing more ({full}); once it does again, this goes on by itself."
    if isinstance(error, ConnectorException) and error.__cause__ is not None:
        return describe(error.__cause__)
    return _PATH.sub("…", " ".join(_sentence(error).split()))[:500]


def _sentence(error: BaseException) -> str:
    match error:
        case CaravanError():
            return error.message
        case psycopg.OperationalError(sqlstate=None):
            return "PostgreSQL does not answer."
        case psycopg.Error() if isinstance(error, AWAY):
            return f"PostgreSQL can't do it just now: {error.diag.message_primary}."
        case duckdb.IOException():
            return f"A file can't be read or written: {str(error).removeprefix('IO Error: ')}"
        case FileNotFoundError():
            return "A file that is needed is missing."
        case OSError(errno=int(number)):
            return f"The system says: {os.strerror(number)}."
        case _:
            return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
