"""However a file is read in blocks, by threads and by fast paths, the result is the strict reading, line by line."""

import json
import math
import tempfile
from pathlib import Path
from unittest.mock import patch

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caravan.errors import FileFailed
from caravan.intake.rejects import Reject, RejectCode, shown
from caravan.intake.strict import Accepted, Refused, classify
from tests.examples import many
from tests.unit.intake.nasty_rows import NASTY
from tests.unit.intake.reading_bytes import limits, read_bytes

ROW_BYTES = 3000

names = st.sampled_from(["a", "b", "id", "properties", "é", "x y", '"', "\\", "", "a\x00", "A", "long" * 30])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=True),
    st.text(max_size=8),
    st.sampled_from(["\x00", "null", "{", "}", ",]", '":', "NaN", "\\u0000", "\x7f", "é", "😀", " nan", ":1e999"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
ids = st.one_of(st.integers(0, 9).map(str), st.integers(-5, 10**30), st.text(max_size=5), scalars)


@st.composite
def plain_rows(draw: st.DrawFn) -> str:
    row = {"id": draw(ids), "properties": draw(st.dictionaries(names, values, max_size=4) | values)}
    if draw(st.integers(0, 5)) == 0:
        row[draw(names)] = draw(values)
    ascii_only, spaced = draw(st.booleans()), draw(st.booleans())
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(row, ensure_ascii=ascii_only, separators=separators)


nasty_rows = st.sampled_from(NASTY)
mutated = st.builds(
    lambda row, place, what: row[: place % (len(row) + 1)] + what + row[place % (len(row) + 1) + 1 :],
    plain_rows() | nasty_rows,
    st.integers(0, 200),
    st.sampled_from([*'{}[]",:\\ \t\r\x00e0-+.n', "", "\\u", '"id":1,', "1e999", "\ud7ff"]),
)
rows = st.one_of(plain_rows(), mutated, nasty_rows).map(str.encode) | st.binary(max_size=12)
styles = st.lists(rows, max_size=6).flatmap(
    lambda few: st.lists(st.sampled_from(few) | rows, max_size=40) if few else st.just(few)
)


def expected(data: bytes) -> tuple[list[tuple[int, Accepted]], list[Reject], int]:
    """The policy, applied one line at a time."""
    contacts: list[tuple[int, Accepted]] = []
    rejects: list[Reject] = []
    first: dict[str, int] = {}
    blank = offset = 0
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1] if not lines[-1] else lines, 1):
        row = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        verdict = classify(row, ROW_BYTES)
        if isinstance(verdict, Accepted) and verdict.id in first:
            message = f"The id '{verdict.id}' was already on line {first[verdict.id]}."
            verdict = Refused(RejectCode.DUPLICATE, message)
        if isinstance(verdict, Accepted):
            first[verdict.id] = number
            contacts.append((number, verdict))
        elif isinstance(verdict, Refused):
            rejects.append(Reject(number, offset, verdict.code, verdict.message, shown(row)))
        else:
            blank += 1
        offset += len(line) + 1
    return contacts, rejects, blank


def check(data: bytes, block_bytes: int, cohort_size: int, few: int = 0) -> None:
    """Reads a file; rows that no template fits go to DuckDB if a block has more than `few`."""
    with tempfile.TemporaryDirectory() as folder, patch("caravan.intake.sift.FEW", few):
        try:
            result = read_bytes(data, Path(folder) / "x", limits(ROW_BYTES, cohort_size, block_bytes=block_bytes))
        except FileFailed:
            return
    agrees(data, result.contacts, result.rejects, result.receipt.blank)
    assert result.receipt.lines == len(result.contacts) + len(result.rejects) + result.receipt.blank


def agrees(data: bytes, contacts: list[tuple[int, str, str]], rejects: list[Reject], blank: int) -> None:
    """Fails if this is not what the policy makes of a file."""
    entered, refused, skipped = expected(data)
    assert rejects == refused
    assert [(line, id) for line, id, _ in contacts] == [(line, row.id) for line, row in entered]
    for (line, _, stored), (_, row) in zip(contacts, entered, strict=True):
        assert same(json.loads(stored), json.loads(row.properties)), (line, stored, row.properties)
        unique_names(stored)
    assert blank == skipped


def plain_row(number: int) -> str:
    return json.dumps({"id": str(number), "properties": {"a": number}})


def same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other and not (isinstance(one, float) and math.isinf(one))


def unique_names(text: str) -> None:
    """Reads JSON and fails if an object has a name twice."""

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len(pairs) == len(dict(pairs)), text
        return dict(pairs)

    json.loads(text, object_pairs_hook=members)


relaxed = settings(
    max_examples=many(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@relaxed
@given(
    styles,
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.integers(4000, 9000),
    st.sampled_from([1, 3, 50]),
    st.sampled_from([0, 2, 1000]),
)
def test_any_mix_of_rows_is_read_as_the_strict_reading_says(
    lines: list[bytes], newline: bytes, last: bool, block_bytes: int, cohort_size: int, few: int
) -> None:
    check(newline.join(lines) + (newline if last else b""), block_bytes, cohort_size, few)


blank_runs = st.tuples(st.text(" \t\r", max_size=3) | st.text(" \t\r", min_size=60, max_size=70), st.integers(1, 70))
near_blank = st.text(" \t\r\x0b\x0c\xa0\x00x", max_size=5)


@relaxed
@given(
    st.lists(blank_runs.map(lambda run: [run[0]] * run[1]) | near_blank.map(lambda line: [line]), max_size=5),
    st.lists(st.integers(0, 300), max_size=5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 3, 50]),
)
def test_runs_of_blank_lines_are_counted_wherever_they_are(
    runs: list[list[str]], places: list[int], mark: bool, last: bool, cohort_size: int
) -> None:
    lines = [line for run in runs for line in run]
    for number, place in enumerate(places):
        lines.insert(place % (len(lines) + 1), plain_row(number))
    text = ("\ufeff" if mark else "") + "\n".join(["{}", *lines]) + ("\n" if last else "")
    check(text.encode(), 4000, cohort_size)
    check(text.encode().removeprefix(b"\xef\xbb\xbf").removeprefix(b"{}"), 4000, cohort_size)


def test_a_block_of_newlines_is_told_from_one_that_ends_in_a_single_character() -> None:
    for end in (b"", b"\n", b"\r", b"x", b" "):
        check(b"{}\n" + b"\n" * 50 + end, 4000, 10)
        check(b"\n" * 50 + end, 4000, 10)
        row = plain_row(1).encode()
        check(b"{}\n" + b"\n" * 20_000 + row + b"\n" * 8_000 + row + b"\n" * 8_000 + end, 4000, 10)


@relaxed
@given(st.binary(max_size=300))
def test_any_bytes_are_accounted_for(data: bytes) -> None:
    check(data, 4000, 50)


def test_every_nasty_row_is_read_as_the_strict_reading_says_alone_and_among_others() -> None:
    plain = [plain_row(number) for number in range(2000, 2040)]
    everything = [row for nasty in NASTY for row in (nasty, plain[len(nasty) % 40])]
    check("\n".join(["{}", *NASTY, *everything]).encode(), 5000, 7)
    check("\n".join(["{}", *plain * 50, *NASTY, *everything]).encode(), 1 << 20, 1000)


NOT_UTF8 = [
    b"\xed\xa0\x80",
    b"\xed\xb0\x80",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf4\x90\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xe9",
]


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize("place", [0, 3, 60])
def test_rows_of_the_shape_of_all_others_must_be_utf8_too(place: int, few: int) -> None:
    plain = [plain_row(number).encode() for number in range(60)]
    odd = [b'{"id": "x%d", "properties": {"a": "%s"}}' % each for each in enumerate(NOT_UTF8)]
    check(b"\n".join([*plain[:place], *odd, *plain[place:]]), 1 << 20, 1000, few)


@relaxed
@given(nasty_rows)
def test_any_row_at_the_head_of_a_file_leaves_the_rest_alone(nasty: str) -> None:
    check("\n".join([nasty, *map(plain_row, range(5))]).encode(), 4000, 50)


@relaxed
@given(st.lists(plain_rows() | nasty_rows, min_size=1, max_size=20))
def test_what_is_stored_means_the_same_to_python_and_to_duckdb(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = read_bytes("\n".join(lines).encode(), Path(folder) / "x", limits())
        except FileFailed:
            return
    for _, _, stored in result.contacts:
        for name, value in json.loads(stored).items():
            if isinstance(value, str) and name and '"' not in name and "\\" not in name:
                path = f'$."{name}"'
                found = duckdb.execute("select json_extract_string(?, ?)", [stored, path]).fetchone()
                assert found == (value,), (stored, name)
