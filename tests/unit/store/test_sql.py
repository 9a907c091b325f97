"""Named SQL."""

from importlib import resources

import pytest

from caravan.store import sql
from caravan.store.sql import Queries


def test_queries_are_found_by_name_with_their_comments() -> None:
    queries = Queries("-- intro\n-- name: one\n-- why\nselect 1\n\n-- name: two\nselect 2\n", "here.sql")
    assert queries.one == "-- why\nselect 1"
    assert list(queries) == ["one", "two"]


def test_an_unknown_query_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"here.sql has no query 'three'; it has one, two"):
        _ = Queries("-- name: two\nx\n-- name: one\ny\n", "here.sql").three


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Queries("-- name: one\nx\n-- name: one\ny\n", "here.sql")


def _all_queries() -> list[tuple[str, str]]:
    folder = resources.files("caravan.store") / "sql"
    return [(file.name, name) for file in folder.iterdir() for name in sql.load("caravan.store", file.name)]


@pytest.mark.parametrize(("file", "name"), _all_queries())
def test_every_query_is_used(file: str, name: str) -> None:
    from pathlib import Path

    import caravan

    source = Path(caravan.__file__).parent
    assert any(f".{name}" in path.read_text(encoding="utf-8") for path in source.rglob("*.py")), (file, name)
