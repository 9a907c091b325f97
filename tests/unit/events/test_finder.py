"""Contacts are found in a cohort's file by their id, whichever others stand there."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.events import finder as finders
from caravan.events.finder import Finders, Hashes, hashes_of
from caravan.store.cohorts import CONTACTS, write_contacts
from caravan.store.files import LocalFiles


def _cohort(folder: Path, ids: Sequence[str]) -> Finders:
    columns = [range(1, len(ids) + 1), ids, [f'{{"n": {number}}}' for number in range(len(ids))]]
    files = LocalFiles(folder / "files")
    write_contacts(pa.table([pa.array(each) for each in columns], schema=CONTACTS), folder / "new")
    files.put(folder / "new", "cohort.parquet")
    return Finders(files, folder / "standing")


def _found(found: Finders, wanted: Sequence[str]) -> set[tuple[str, int, int, str]]:
    with duckdb.connect() as duck:
        hashes = np.sort(hashes_of(wanted, duck))
        contacts = [each for _, each in found.of("cohort.parquet", duck).find(hashes)]
    return {(each.id, each.place, each.line, each.properties) for each in contacts if each.id in wanted}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=60), st.lists(st.text(min_size=1, max_size=8)))
def test_all_who_are_looked_for_are_found(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], others: list[str]
) -> None:
    wanted = [*ids[::2], *others]
    rows = {(each, place, place + 1, f'{{"n": {place}}}') for place, each in enumerate(ids) if each in wanted}
    assert _found(_cohort(tmp_path_factory.mktemp("finder"), ids), wanted) == rows


def test_ids_with_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_alike(ids: Sequence[str], duck: object) -> Hashes:
        return np.zeros(len(ids), np.uint64)

    monkeypatch.setattr(finders, "hashes_of", all_alike)
    found = _cohort(tmp_path, ["a", "b", "a"])
    with duckdb.connect() as duck:
        contacts = [each.id for _, each in found.of("cohort.parquet", duck).find(np.zeros(1, np.uint64))]
    assert sorted(contacts) == ["a", "a", "b"]


def test_a_copy_that_is_gone_is_made_anew_and_others_are_forgotten(tmp_path: Path) -> None:
    found = _cohort(tmp_path, ["a", "b"])
    assert _found(found, ["b"]) == {("b", 1, 2, '{"n": 1}')}
    found.forget_others({"cohort.parquet"})
    assert len(list((tmp_path / "standing").iterdir())) == 1
    found.forget_others(set())
    assert list((tmp_path / "standing").iterdir()) == []
    again = Finders(LocalFiles(tmp_path / "files"), tmp_path / "standing")
    assert len(_found(again, ["a"])) == 1


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with duckdb.connect() as duck, pytest.raises(FileNotFoundError):
        _cohort(tmp_path, ["a"]).of("other.parquet", duck)
