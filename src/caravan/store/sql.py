"""SQL lives in `.sql` files beside the code that runs it; this reads one such file.

A query begins with a line `-- name: what_it_does`; the comment lines below it tell what it is for.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


class Queries:
    """The queries of one file, each an attribute by its name."""

    def __init__(self, text: str, origin: str) -> None:
        self._origin = origin
        self._texts: dict[str, LiteralString] = {}
        pieces = _NAME.split(text)[1:]
        for name, body in zip(pieces[::2], pieces[1::2], strict=True):
            if name in self._texts:
                raise ValueError(f"{origin} names the query {name!r} twice.")
            # What the package ships is as trusted as code.
            self._texts[name] = cast(LiteralString, body.strip())

    def __getattr__(self, name: str) -> LiteralString:
        try:
            return self._texts[name]
        except KeyError:
            known = ", ".join(sorted(self._texts))
            raise AttributeError(f"{self._origin} has no query {name!r}; it has {known}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)


@cache
def load(package: str, file: str) -> Queries:
    """The named queries in `file` (like "cohorts.sql") of a package's folder `sql`."""
    text = (resources.files(package) / "sql" / file).read_text(encoding="utf-8")
    return Queries(text, f"{package}/sql/{file}")
