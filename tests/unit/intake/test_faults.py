"""What is wrong with a row is said in plain sentences, and never in the words of the parser."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.intake.faults import explain
from caravan.intake.rejects import RejectCode
from caravan.intake.strict import Refused, classify
from tests.examples import many
from tests.unit.intake.nasty_rows import NASTY

NO_END = "The row is not JSON: it ends where {} must follow."
MARK = "a byte order mark (U+FEFF) stands at character {}, and only the beginning of a file may have one"
HIDDEN = "a character that can't be seen (no-break space U+00A0)"

ROWS = [
    ('{"a":"x\ty"}', "a control character (tab U+0009) stands inside a string at character 8"),
    ('{"a":"x\0y"}', "a control character (NUL U+0000) stands inside a string at character 8"),
    ('{"a":"\x1f"}', "a control character (U+001F) stands inside a string at character 7"),
    ('{"a":"x', "the string that begins at character 6 has no end"),
    ('{"a":"\\', "the string that begins at character 6 has no end"),
    ('{"a":"\\q"}', "the backslash at character 7 begins no escape that JSON has"),
    ('{"a":"C:\\users"}', "the \\u at character 9 needs four hexadecimal digits behind it"),
    ('{"a":"\\ud83d\\u12"}', "the \\u at character 13 needs four hexadecimal digits behind it"),
    ('{"id":1}{"id":2}', "'{' stands at character 9, behind the end of the value"),
    ('{"id":1}\x0b', "a control character (vertical tab U+000B) stands at character 9, behind the end of the value"),
    ('{"id":1,}', "a comma stands before the '}' at character 9"),
    ('{"id":[1 , ]}', "a comma stands before the ']' at character 12"),
    ('{"id":,}', "',' stands at character 7 where a value must follow"),
    ("{id:1}", "'i' stands at character 2 where a name in double quotes must follow"),
    ("{'id':1}", "a single quote stands at character 2 where a name in double quotes must follow"),
    ('{"id" 1}', "'1' stands at character 7 where a colon must follow"),
    ('{"id":1 "b":2}', "a double quote stands at character 9 where a comma or a closing bracket must follow"),
    ('{"id":“x”}', "'“' stands at character 7 where a value must follow"),
    ('{"id":\xa01}', f"{HIDDEN} stands at character 7 where a value must follow"),
    ("Bruce;yes", "'B' stands at character 1 where a value must follow"),
    ('\ufeff{"id":1}', MARK.format(1)),
    (' \t\ufeff{"id":1}', MARK.format(3)),
    ('{"id":\ufeff1}', MARK.format(7)),
    ("\ufeff", MARK.format(1)),
    ("{", "it ends where a name in double quotes must follow"),
    ('{"id"', "it ends where a colon must follow"),
    ('{"id":', "it ends where a value must follow"),
    ('{"id":1', "it ends where a comma or a closing bracket must follow"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "clause"), ROWS)
def test_a_row_that_is_not_json_is_told_what_stands_where(row: str, clause: str) -> None:
    verdict = classify(row.encode(), 1000)
    assert verdict == Refused(RejectCode.NOT_JSON, f"The row is not JSON: {clause}.")


PYTHONS = [
    # json.decoder and json.scanner up to Python 3.14, and their C twins
    "Expecting value", "Expecting property name enclosed in double quotes", "Expecting ':' delimiter",
    "Expecting ',' delimiter", "Illegal trailing comma before end of object",
    "Illegal trailing comma before end of array",
    "Unterminated string starting at", "Invalid control character at", "Invalid control character '\\t' at",
    "Invalid \\uXXXX escape", "Invalid \\escape: ", "Invalid \\escape: 'q'", "Extra data",
    "Unexpected UTF-8 BOM (decode using utf-8-sig)", "something that a later Python says",
]  # fmt: skip
WORDS = re.compile(
    "|".join(f"(?i:{word})" for word in ("expecting", "delimiter", "unterminated", "invalid", "illegal", "extra data"))
    + "|(?i:enclosed|property name|decode|utf-8-sig|codec|ordinal|Error|line 1|char [0-9]|XXXX|later Python)"
)


@pytest.mark.parametrize("message", PYTHONS)
@pytest.mark.parametrize(("text", "position"), [("x", 0), ("", 0), ("x", 1), ("[1,]", 3), ('"\\uZ"', 2), ("\ufeff", 0)])
def test_no_message_of_the_parser_is_passed_on(message: str, text: str, position: int) -> None:
    clause = explain(json.JSONDecodeError(message, text, position))
    assert not WORDS.search(clause)
    assert clause and "\n" not in clause


PIECES = ['{"id":', "{", "}", "[", "]", ",", ":", '"', "\\", "\\u", "\\ud8", "1", "-", "e", ".", "tru", "NaN"]
fragments = st.lists(
    st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"], exclude_characters="\n"),
    max_size=8,
).map("".join)  # fmt: skip


@given(fragments.map(str.encode) | st.binary(max_size=8) | st.sampled_from(NASTY).map(str.encode))
@settings(max_examples=many(1500), deadline=None)
def test_no_row_is_refused_in_the_words_of_python(row: bytes) -> None:
    verdict = classify(row, 1000)
    if isinstance(verdict, Refused):
        assert not WORDS.search(verdict.message), verdict.message
        assert verdict.message.startswith("The ") and verdict.message.endswith(".")
        assert not re.search("[\x00-\x1f\x7f-\x9f\ufeff\u200b\u2028]", verdict.message)


@given(st.integers(0, 5), st.sampled_from(ROWS))
def test_characters_are_counted_from_the_beginning_of_the_line(spaces: int, row: tuple[str, str]) -> None:
    plain, shifted = (classify((" " * count + row[0]).encode(), 1000) for count in (0, spaces))
    assert isinstance(plain, Refused) and isinstance(shifted, Refused)
    places = [re.findall("character ([0-9]+)", each.message) for each in (plain, shifted)]
    assert [int(place) for place in places[1]] == [int(place) + spaces for place in places[0]]
