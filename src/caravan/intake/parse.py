"""The second fast reading: DuckDB parses the rows that have no common shape.

Its parser is more lenient than JSON, and of equal names it takes the first where nearly every reader takes the last.
So rows in which that could matter are found by a regular expression beforehand and left to the strict reading, as are
all that DuckDB refuses.
"""

import hashlib
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caravan.intake.template import Matches
from caravan.store import sql

# Each line is something that DuckDB's reading gets wrong or can't tell. Too much may match, too little must not.
_DOUBTFUL = "|".join(
    [
        r",\s*[}\]]",  # a trailing comma
        r"[:\[,]\s*[-+]?(?:[nN][aA]|[iI])",  # NaN, Infinity, in any case
        r"[:\[,]\s*-?[0-9.]+[eE][-+]?[0-9]{3}",  # perhaps not a finite double
        r"[0-9]{200}",
        r"\\u0000",
        r'\\u[^"]*"\s*:',  # a name with escapes, which could be `id`
        r'"id"\s*:.*"id"\s*:',
        r'"properties"\s*:.*"properties"\s*:',
        r"\{[^{]*\{[^{]*\{",  # objects in the properties, whose names aren't looked at below
        r"(?:\[[^\[]*){60}",  # perhaps too deep
    ]
)

PROBED = (0, 1, 3, 4, 7, 8, 11, 12, 13, 15, 16, 17, 31, 32, 33, 64, 255)  # lengths that hashing may treat differently

_QUERIES = sql.load("caravan.intake", "rows.sql")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What DuckDB makes of rows beyond doubt, as the strict reading does."""

    contacts: Matches
    refused: NDArray[np.int64]  # rows
    reasons: NDArray[np.int64]  # of each of these; equal ones are refused with the same words


def parse(connection: duckdb.DuckDBPyConnection, rows: pa.StringArray) -> Parsed:
    """Those of `rows` that are contacts, and those that are JSON and must be refused; both without any doubt."""
    # A parse that fails is dear, so rows that are hopeless at first sight don't get that far.
    hopeful = pc.match_substring_regex(rows, r"^[ \t\r]*[\[{]")
    clear = pc.and_not(hopeful, pc.match_substring_regex(rows, _DOUBTFUL))
    places = np.flatnonzero(clear.to_numpy(zero_copy_only=False))
    table = pa.table({"place": places, "row": rows.take(pa.array(places))})
    found = _ask(connection, "rows", table, _QUERIES.parsed)
    refused = found.filter(found["fault"].is_valid())
    contacts = _without_duplicates(found.filter(found["fault"].is_null()))
    return Parsed(contacts, refused["place"].to_numpy(), _reasons(refused))


def _reasons(refused: pa.Table) -> NDArray[np.int64]:
    """The kind of value that stands where it must not: known by its first character, but for integers."""
    first = pc.utf8_slice_codeunits(refused["culprit"], 0, 1)
    kind = pc.if_else(pc.match_substring_regex(refused["culprit"], r"^-?[0-9]+\s*$"), "integer", first)
    empty = pc.equal(refused["culprit"], '""')
    key = pc.binary_join_element_wise(refused["fault"], kind, pc.if_else(empty, "empty", ""), " ")
    if not len(key):
        return np.empty(0, np.int64)
    return np.asarray(key.combine_chunks().dictionary_encode().indices.to_numpy(), dtype=np.int64)


def hashes(connection: duckdb.DuckDBPyConnection, ids: pa.StringArray) -> NDArray[np.uint64]:
    """A 64-bit hash of each id, in order."""
    if not len(ids):  # a query costs as much as a thousand hashes
        return np.array([], np.uint64)
    table = _ask(connection, "accepted", pa.table({"id": ids}), _QUERIES.hashes)
    return np.asarray(table["hash"].to_numpy(), dtype=np.uint64)


def hash_family() -> str:
    """Equal in two processes exactly if `hashes` gives equal hashes in both: another version of DuckDB may not."""
    probes = pa.array([("Zoë-0123456789 " * 20)[:length] for length in PROBED])
    with duckdb.connect() as connection:
        return hashlib.sha256(hashes(connection, probes).tobytes()).hexdigest()[:16]


def _ask(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table, query: str) -> pa.Table:
    connection.register(name, table)
    try:
        return connection.sql(query).to_arrow_table()
    finally:
        connection.unregister(name)


def _without_duplicates(parsed: pa.Table) -> Matches:
    """The rows whose properties have no name twice."""
    good = pa.array(~_repeats(parsed["names"]))
    kept = parsed.select(["place", "id", "properties"]).filter(good)
    ids, properties = (_one(kept[name]) for name in ("id", "properties"))
    return Matches(kept["place"].to_numpy(), ids, properties)


def _one(column: pa.ChunkedArray) -> pa.StringArray:
    return pa.concat_arrays(column.cast(pa.string()).chunks) if column.num_chunks else pa.array([], pa.string())


def _repeats(names: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Which of the lists have an element twice."""
    lists = pa.concat_arrays(names.chunks) if names.num_chunks else pa.array([], names.type)
    row = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    name = lists.flatten().dictionary_encode()
    pair = np.sort(row * (len(name.dictionary) + 1) + name.indices.to_numpy())
    repeats = np.zeros(len(lists), np.bool_)
    repeats[pair[1:][pair[1:] == pair[:-1]] // (len(name.dictionary) + 1)] = True
    return repeats
