"""The dead letters of a batch: whom a step could not reach, for good, and why."""

from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from caravan.queries.journal import Line
from caravan.store.dead_letters import Letters
from caravan.store.files import Files
from caravan.store.ledger import Outcome

_TOLD = ("id", "line", "at", "detail")  # columns; files of contacts that were given up together have the first two


def read_letters(files: Files, letters: list[Letters]) -> Iterator[list[Line]]:
    """All of them, those that failed together at once. Blocks."""
    for each in letters:
        yield _read(files, each, 0, each.part.size)


def some_letters(files: Files, letters: list[Letters], after: int, limit: int) -> list[Line]:
    """So many of them behind the first `after`, in the same order; files that hold none of these are not read.
    Blocks."""
    found: list[Line] = []
    for each in letters:
        if after < each.part.size and len(found) < limit:
            found += _read(files, each, after, limit - len(found))
        after = max(0, after - each.part.size)
    return found


def steps_of(letters: list[Letters]) -> dict[str, int]:
    """How many there are at each step."""
    found: dict[str, int] = {}
    for each in letters:
        found[each.step] = found.get(each.step, 0) + each.part.size
    return found


def _read(files: Files, letters: Letters, after: int, limit: int) -> list[Line]:
    with files.local(letters.part.file) as path:
        columns = [name for name in pq.read_schema(path).names if name in _TOLD]
        people: list[dict[str, Any]] = pq.read_table(path, columns=columns).slice(after, limit).to_pylist()
    return [
        Line(
            contact=person["id"],
            line=person["line"],
            step=letters.step,
            outcome=Outcome.FAILED,
            at=person.get("at", letters.at),
            detail=person.get("detail", letters.reason),
        )
        for person in people
    ]
