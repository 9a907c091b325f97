"""The benchmarks' files are made the same each time, and say truly what should come of them."""

import json
from pathlib import Path

import pytest

from caravan.bench.inputs import SHAPES, STANDARD, Shape, contact, write_copy, write_file
from caravan.intake.reading import Limits, read_contacts

ROWS = 4_500
LIMITS = Limits(row_bytes=1 << 20, cohort_size=1_000, expanded_bytes=1 << 30, duckdb_memory="256MB", threads=2)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_file_gives_the_receipt_that_its_maker_foretells(shape: Shape, tmp_path: Path) -> None:
    made = write_file(tmp_path / "contacts.ndjson", ROWS, shape)
    folder = tmp_path / "read"
    folder.mkdir()
    receipt = read_contacts(made.path, folder, LIMITS)
    assert (receipt.lines, receipt.entered) == (made.lines, made.entered)
    assert receipt.rejected == made.rejected
    assert made.lines == ROWS


def test_the_same_file_is_made_each_time(tmp_path: Path) -> None:
    first, second = (write_file(tmp_path / name, 3_000).path.read_bytes() for name in ("a", "b"))
    assert first == second


def test_rows_have_five_to_ten_properties_and_names_beyond_ascii() -> None:
    people = [contact(number) for number in range(1, 5_000)]
    assert {len(person) for person in people} == {5, 6, 7, 8, 9, 10}
    assert any(not str(person["firstname"]).isascii() for person in people)


def test_the_shares_of_bad_and_repeated_rows_are_as_named(tmp_path: Path) -> None:
    shares = {name: write_file(tmp_path / name, 2_000, SHAPES[name]) for name in ("bad-1", "bad-10", "bad-50")}
    bad = {name: made.rejected.total() - made.rejected["duplicate"] for name, made in shares.items()}
    assert bad == {"bad-1": 20, "bad-10": 200, "bad-50": 1_000}
    assert write_file(tmp_path / "duplicates", 2_000, SHAPES["duplicates"]).entered == 1


def test_wide_rows_have_two_kilobytes(tmp_path: Path) -> None:
    lines = write_file(tmp_path / "wide", 100, SHAPES["wide"]).path.read_bytes().splitlines()
    assert 1_900 < sum(map(len, lines)) / len(lines) < 2_500


def test_what_is_copied_is_what_enters(tmp_path: Path) -> None:
    made = write_file(tmp_path / "contacts.ndjson", ROWS, STANDARD)
    assert write_copy(tmp_path / "people.tsv", ROWS) == made.entered
    rows = [line.split("\t") for line in (tmp_path / "people.tsv").read_text("utf-8").splitlines()]
    assert len({each for each, _ in rows}) == made.entered
    assert json.loads(rows[0][1]) == contact(1)
