"""Each reject code and each oddity of a row, with its exact place."""

import json
from pathlib import Path

import pytest

from caravan.intake.rejects import Reject, RejectCode
from caravan.intake.strict import Accepted, Blank, Refused, classify
from tests.unit.intake.reading_bytes import limits, read_bytes, read_lines

GOOD = '{"id":"good","properties":{"a":1}}'


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        (b'{"id":"\xff"}', RejectCode.NOT_UTF8, "The row is not UTF-8: byte 8 of it can't be read."),
        ("Bruce;yes", RejectCode.NOT_JSON, "The row is not JSON: 'B' stands at character 1 where a value must follow."),
        ('{"id":1,"x":NaN}', RejectCode.NOT_JSON, "The row is not JSON: NaN is not a JSON number."),
        ('{"id":1,"id":2}', RejectCode.NOT_JSON, "The row has the member 'id' twice."),
        (
            '{"id":"\\ud800"}',
            RejectCode.NOT_JSON,
            "The row is not JSON: it has half of a surrogate pair, which is no character.",
        ),
        ("[1]", RejectCode.NOT_OBJECT, "The row is an array, not an object."),
        ("null", RejectCode.NOT_OBJECT, "The row is null, not an object."),
        ("[" * 99, RejectCode.NOT_OBJECT, "The row nests objects and arrays deeper than 64 levels."),
        ("{}", RejectCode.MISSING_ID, "The row has no id."),
        ('{"id":null}', RejectCode.MISSING_ID, "The row has no id."),
        ('{"id":""}', RejectCode.BAD_ID, "The id is empty."),
        ('{"id":" \u3000"}', RejectCode.BAD_ID, "The id is only white space."),
        ('{"id":"%s"}' % ("é" * 257), RejectCode.BAD_ID, "The id is longer than 256 characters."),
        ('{"id":"a\\u0000"}', RejectCode.BAD_ID, "The id has a control character."),
        ('{"id":true}', RejectCode.BAD_ID, "The id must be a string or an integer, not true or false."),
        (
            '{"id":1.0}',
            RejectCode.BAD_ID,
            "The id must be a string or an integer, not a number with a fraction, an exponent or too many digits.",
        ),
        (
            '{"id":1,"properties":[]}',
            RejectCode.BAD_PROPERTIES,
            "The properties must be an object, not an array.",
        ),
        (
            '{"id":1,"properties":{"a":1e999}}',
            RejectCode.BAD_PROPERTIES,
            "The properties have a number that is too large.",
        ),
        (
            '{"id":1,"properties":{"a":"\\u0000"}}',
            RejectCode.BAD_PROPERTIES,
            "The properties have a NUL character, which databases can't hold.",
        ),
        (
            '{"id":1,"properties":' + '{"a":' * 64 + "1" + "}" * 65,
            RejectCode.BAD_PROPERTIES,
            "The row nests objects and arrays deeper than 64 levels.",
        ),
        ('{"id":1,"a":"' + "x" * 2000 + '"}', RejectCode.TOO_LONG, "The row is longer than 1000 bytes."),
        (GOOD, RejectCode.DUPLICATE, "The id 'good' was already on line 1."),
    ],
)
def test_a_bad_row_is_rejected_with_its_line_offset_reason_and_beginning(
    row: str | bytes, code: RejectCode, message: str, tmp_path: Path
) -> None:
    result = read_lines(GOOD, "", row, '{"id":"last"}', folder=tmp_path, row_bytes=1000)
    raw = row if isinstance(row, bytes) else row.encode()
    shown = raw.decode("utf-8", "replace")[:200]
    assert result.rejects == [Reject(3, len(GOOD) + 2, code, message, shown)]
    assert [id for _, id, _ in result.contacts] == ["good", "last"]
    assert (result.receipt.lines, result.receipt.blank, result.receipt.entered) == (4, 1, 2)
    assert result.receipt.rejected == {code: 1}


@pytest.mark.parametrize(
    ("row", "id", "properties"),
    [
        ('{"id":7}', "7", {}),
        ('{"id":7,"properties":null}', "7", {}),
        ('{"id":-0}', "0", {}),
        ('{"id":123456789012345678901234567890}', "123456789012345678901234567890", {}),
        ('{"id":"007"}', "007", {}),
        ('{"id":" 7 "}', " 7 ", {}),
        ('{"id":"7","other":[NaNcy]}'.replace("NaNcy", '"NaN"'), "7", {}),
        ('{"properties":{"a":1},"id":"7"}', "7", {"a": 1}),
        ('{"id":"7","properties":{"a":1,"a":2,"b":{"c":1,"c":[]}}}', "7", {"a": 2, "b": {"c": []}}),
        ('{"id":"7","properties":{"a":"\\ud83d\\ude00"}}', "7", {"a": "😀"}),
        ('{"id":"7","properties":{"a":%s}}' % ("1" * 300), "7", {"a": int("1" * 300)}),
        ('{"id":"7","properties":{"":{"id":1,"properties":{}}}}', "7", {"": {"id": 1, "properties": {}}}),
        ('\t{"id":"7"} \r', "7", {}),
    ],
)
def test_an_odd_row_that_is_right_enters(row: str, id: str, properties: object, tmp_path: Path) -> None:
    result = read_lines(row, folder=tmp_path)
    ((line, found, text),) = result.contacts
    assert (line, found, json.loads(text)) == (1, id, properties)


@pytest.mark.parametrize("line", [b"", b" ", b"\t \r", b"\r"])
def test_a_line_of_white_space_is_blank(line: bytes) -> None:
    assert classify(line, 100) == Blank()


def test_a_mark_at_the_beginning_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    result = read_lines('\ufeff{"id":"1"}', '\ufeff{"id":"2"}', folder=tmp_path)
    assert [id for _, id, _ in result.contacts] == ["1"]
    assert [(each.line, each.offset, each.code) for each in result.rejects] == [(2, 14, RejectCode.NOT_JSON)]


def test_a_mark_alone_on_the_first_line_is_blank(tmp_path: Path) -> None:
    result = read_lines("\ufeff", '{"id":"1"}', folder=tmp_path)
    assert (result.receipt.blank, result.receipt.entered) == (1, 1)


def test_windows_newlines_and_a_missing_last_newline_make_no_difference(tmp_path: Path) -> None:
    unix, windows = b'{"id":1,"properties":{"a":1}}\n{"id":2}\n', b'{"id":1,"properties":{"a":1}}\r\n{"id":2}'
    results = [read_bytes(data, tmp_path / str(n), limits()) for n, data in enumerate((unix, windows))]
    assert results[0].contacts == results[1].contacts


def test_a_row_far_beyond_a_block_is_rejected_and_what_follows_is_read(tmp_path: Path) -> None:
    long = '{"id":1,"properties":{"a":"' + "x" * 50_000 + '"}}'
    result = read_lines('{"id":0}', long, '{"id":2}', folder=tmp_path, row_bytes=1000, block_bytes=2000)
    assert [(line, id) for line, id, _ in result.contacts] == [(1, "0"), (3, "2")]
    assert result.rejects == [Reject(2, 9, RejectCode.TOO_LONG, "The row is longer than 1000 bytes.", long[:200])]


def test_the_strict_reading_stores_the_last_of_equal_names_and_only_it() -> None:
    verdict = classify(b'{"id":"1","properties":{"a":1,"b":2,"a":3}}', 1000)
    assert verdict == Accepted("1", '{"a":3,"b":2}')


def test_a_row_as_long_as_allowed_is_taken_and_one_byte_more_is_not() -> None:
    row = b'{"id":"1"}'
    assert isinstance(classify(row, len(row)), Accepted)
    assert classify(row, len(row) - 1) == Refused(RejectCode.TOO_LONG, "The row is longer than 9 bytes.")
