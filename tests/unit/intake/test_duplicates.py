"""Equal ids are found whatever their hashes, and different ids with equal hashes stay."""

from pathlib import Path

import numpy as np
import pytest

from caravan.intake import span
from caravan.intake.rejects import RejectCode
from tests.unit.intake.reading_bytes import limits, read_bytes
from tests.unit.intake.test_agreement import check

ROWS = [b'{"id":"%d","properties":{"n": %d}}' % (number % 70, number) for number in range(100)]


@pytest.fixture
def poor_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only three hashes exist, so nearly all contacts are suspected."""
    monkeypatch.setattr(span, "hashes", lambda _, ids: np.array([len(each.as_py()) % 3 for each in ids], np.uint64))


@pytest.mark.usefixtures("poor_hashes")
@pytest.mark.parametrize("cohort_size", [1, 7, 1000])
def test_different_ids_with_the_same_hash_stay_where_they_stood(cohort_size: int, tmp_path: Path) -> None:
    result = read_bytes(b"\n".join(ROWS), tmp_path, limits(cohort_size=cohort_size))
    assert [(line, id) for line, id, _ in result.contacts] == [(line, str(line - 1)) for line in range(1, 71)]
    assert [each.message for each in result.rejects] == [
        f"The id '{line - 71}' was already on line {line - 70}." for line in range(71, 101)
    ]
    assert max(part.size for part in result.receipt.parts) <= cohort_size


@pytest.mark.usefixtures("poor_hashes")
def test_contacts_that_shared_a_hash_come_back_among_rejects_and_blank_lines() -> None:
    check(b"\n".join([*ROWS[:5], b"", b"bad", *ROWS, b" ", b'{"id":"\xc3\xa9"}', *ROWS[::-1]]), 4000, 9)


def test_a_later_row_of_the_same_id_loses_to_the_first_of_its_kind_that_counts(tmp_path: Path) -> None:
    rows = [b'{"id":"a","properties":[]}', b'{"id":"a"}', b'{"id":"a","properties":{"x":1}}']
    result = read_bytes(b"\n".join(rows), tmp_path, limits())
    assert [(each.line, each.code) for each in result.rejects] == [(1, "bad_properties"), (3, "duplicate")]
    assert result.rejects[1].message == "The id 'a' was already on line 2."


def test_a_duplicate_shows_its_row_in_characters_and_its_place_in_bytes(tmp_path: Path) -> None:
    row = '{"id":"a","properties":{"n":"' + "é" * 300 + '"}}\r'
    (reject,) = read_bytes(f"{row}\n{row}\n".encode(), tmp_path, limits()).rejects
    assert (reject.code, reject.offset, reject.row) == (RejectCode.DUPLICATE, len(row.encode()) + 1, row[:200])
