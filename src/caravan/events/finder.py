"""Finding contacts among those who stand: their ids' hashes, sorted, beside the file of their cohort.

A cohort's file is read from its beginning, which would take as long as the cohort is large. So on each machine that
matches events there is a copy of it as Arrow has it in memory, in the order of the hashes of the ids. It is mapped,
not read: to find a contact costs a search in the hashes and a look at one row, whatever else is in it. The copies are
made once per cohort and machine, and need no care: what is missing is made anew.
"""

import secrets
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caravan.store.cohorts import read_contacts
from caravan.store.files import Files

_SCHEMA = pa.schema(
    [
        ("hash", pa.uint64()),
        ("place", pa.int32()),
        ("line", pa.int64()),
        ("id", pa.large_string()),
        ("properties", pa.large_string()),
    ]
)
_MAKING = 600.0  # seconds that nobody needs to make a copy
_KEPT = 512  # copies that are mapped at once; each is a file that is open
_SUFFIX = ".arrow"
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Found:
    """A contact of a cohort. `place` is its row in the cohort's file, from 0."""

    place: int
    line: int
    id: str
    properties: str  # the text of a JSON object


def hashes_of(ids: Sequence[str] | pa.Array | pa.ChunkedArray, duck: duckdb.DuckDBPyConnection) -> Hashes:
    """The hash of each id. They are the same only as long as DuckDB's version is."""
    column = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())
    with duck.cursor() as cursor:
        cursor.register("ids", pa.table({"id": column}))
        hashes: Hashes = cursor.execute("select hash(id) as hash from ids").fetchnumpy()["hash"]
    return hashes.astype(np.uint64, copy=False)


class Finder:
    """The contacts of one cohort's file."""

    def __init__(self, path: Path) -> None:
        self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        self._hashes: Hashes = self._table["hash"].chunk(0).to_numpy(zero_copy_only=True)

    def find(self, wanted: Hashes) -> Iterator[tuple[int, Found]]:
        """Who has one of these hashes, which are sorted: (place among the wanted, contact). Another id may have the
        same hash, and one contact may stand there more than once."""
        first = np.searchsorted(self._hashes, wanted, "left")
        last = np.searchsorted(self._hashes, wanted, "right")
        for index in np.flatnonzero(last > first):
            for row in self._table.slice(first[index], last[index] - first[index]).to_pylist():
                yield int(index), Found(row["place"], row["line"], row["id"], row["properties"])


class Finders:
    """The copies of this machine, in `folder`, which all its processes share. All calls block."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files, self._folder = files, folder
        self._open: dict[str, Finder] = {}
        self._guard = Lock()

    def of(self, file: str, duck: duckdb.DuckDBPyConnection) -> Finder:
        """The finder for a cohort's file; its copy is made if there is none. FileNotFoundError if the file is gone."""
        with self._guard:
            finder = self._open.pop(file, None)
        if finder is None:
            path = self._folder / _name(file)
            if not path.exists():
                self._copy(file, path, duck)
            finder = Finder(path)
        with self._guard:
            self._open[file] = finder  # the last one is the one that was asked for last
            while len(self._open) > _KEPT:
                self._open.pop(next(iter(self._open)))
        return finder

    def _copy(self, file: str, path: Path, duck: duckdb.DuckDBPyConnection) -> None:
        with self._files.local(file) as local:
            contacts = read_contacts(local)
        hashes = hashes_of(contacts["id"], duck)
        order = np.argsort(hashes, kind="stable")
        rows = contacts.take(pa.array(order))
        columns = [hashes[order], order.astype(np.int32), rows["line"], rows["id"], rows["properties"]]
        table = pa.table([pa.array(each) if isinstance(each, np.ndarray) else each for each in columns], _SCHEMA.names)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        making = path.with_suffix(f".{secrets.token_hex(4)}")
        try:
            with pa.OSFile(str(making), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
                writer.write_table(table.cast(_SCHEMA).combine_chunks())
            making.replace(path)
        finally:
            making.unlink(missing_ok=True)

    def forget_others(self, files: Collection[str]) -> None:
        """Delete the copies of all but these files."""
        kept = {_name(file) for file in files}
        for entry in self._folder.iterdir() if self._folder.exists() else ():
            with suppress(FileNotFoundError):
                finished = entry.suffix == _SUFFIX or entry.stat().st_mtime < time.time() - _MAKING
                if entry.name not in kept and finished:
                    entry.unlink()


def _name(file: str) -> str:
    """A copy's name; that of another version of DuckDB is another."""
    return sha256(f"{duckdb.__version__}\n{file}".encode()).hexdigest()[:40] + _SUFFIX
