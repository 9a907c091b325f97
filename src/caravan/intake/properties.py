"""Which properties the contacts of a file have, asked of the parts that its reading left."""

from collections.abc import Sequence
from functools import cached_property
from typing import Self

import duckdb

from caravan.intake.parts import Part

MAX_NAMES = 10_000  # that are looked at below one name: contacts that use ids as names have no end of them


class Properties:
    """The names of the properties of all contacts together. Each question reads the parts once. Close it after use."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._files = [str(part.path) for part in parts]
        self._known: dict[tuple[str, ...], frozenset[str] | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "_duck" in self.__dict__:
            self._duck.close()

    @cached_property
    def _duck(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect()

    def below(self, path: tuple[str, ...]) -> frozenset[str] | None:
        """The names below a property, or the properties themselves for (). None: any name may be there, as some contact
        has a list, or more names than are looked at."""
        if path not in self._known:
            self._known[path] = self._ask(path)
        return self._known[path]

    def _ask(self, path: tuple[str, ...]) -> frozenset[str] | None:
        if not self._files:
            return frozenset()
        source = self._duck.read_parquet(self._files)
        if not path:
            found = source.project("unnest(json_keys(properties)) AS name")
        else:
            pointer = _pointer(path)
            if source.aggregate(f"bool_or(json_type(properties, {pointer}) = 'ARRAY')").fetchall() == [(True,)]:
                return None
            found = source.project(f"unnest(json_keys(properties, {pointer})) AS name")
        names = [name for (name,) in found.distinct().limit(MAX_NAMES + 1).fetchall()]
        return frozenset(names) if len(names) <= MAX_NAMES else None


def _pointer(path: tuple[str, ...]) -> str:
    """A JSON pointer (RFC 6901 §3) as an SQL literal; unlike in a JSON path, no name is a wildcard in it."""
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)
    return "'" + pointer.replace("'", "''") + "'"
