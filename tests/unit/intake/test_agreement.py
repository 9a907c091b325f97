"""However a file is read in blocks, by threads and by fast paths, the result is the strict reading, line by line."""

import json
import math
import tempfile
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading_bytes import limits, read_bytes

from caravan.errors import FileFailed
from caravan.intake.rejects import Reject, RejectCode, shown
from caravan.intake.strict import Accepted, Refused, classify

ROW_BYTES = 3000

names = st.sampled_from(["a", "b", "id", "properties", "é", "x y", '"', "\\", "", "a\x00", "A", "long" * 30])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=True),
    st.text(max_size=8),
    st.sampled_from(
        ["\x00", "null", "{", "}", ",]", '":', "NaN", "\\u0000", "\x7f", "é", "😀", " nan", ":1e999"]
    ),
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


NASTY = [
    '{"id":1,"properties":{"a":%s}}' % value
    for value in [
        "NaN", "nan", "Infinity", "-Infinity", "-inf", "1e400", "-1e400", "1e308", "1e309", "1E+5", "1e-400", "-0",
        "-0.0", "1" * 300, "1" * 301, "1" * 400, "-" + "9" * 300, "1" * 309 + ".0", "0." + "1" * 400, "01", "+1", ".5",
        "5.", "0x10", "1.10", "123456789012345678901234567890", '"\\ud800"', '"\\ud83d\\ude00"', '"\\ude00\\ud83d"',
        '"\\u0000"', '"\\\\u0000"', '"\\\\\\u0000"', '"\\/"', '"\t"', "[1,]", "[1 , ]", "[,1]", '{"b":1,}',
        '{"b":1 , }', '{"b":1,"b":2}', '{"b":1,"\\u0062":2}', '[{"b":1,"b":2}]', "tru", "null", "'x'", "/*c*/1",
        "[" * 62 + "]" * 62, "[" * 63 + "]" * 63, "[" * 70 + "]" * 70, '[[],"]",' * 30 + "1" + "]" * 30, '"1\x7f"', "[]", "{}",
        "[ NaN]", "[1, -Infinity]", '"\ufeff"', '"\u2028"', "true", "[[1],[2],[3]]",
        *["[" * 58 + f"[{number}]" + "]" * 58 for number in ("1", "NaN")],
    ]
] + [
    '{"id":1,"id":2}', '{"id":2,"properties":{},"properties":{"a":1}}', '{"id":1,"i\\u0064":2}', '{"i\\u0064":3}',
    '{"id":1,"x":1,"x":2}', '{"id":1,"x":NaN}', '{"id":1,"x":1e999}', '{"id":1,"x":"\\ud800"}', '{"id":1,"x":"\\u0000"}',
    '{"id":"a\\u0000"}', '{"id":"a\\n"}', '{"id":"\x7f"}', '{"id":"\\u0061"}', '{"id":"\u0085"}', '{"id":"\u3000"}',
    '{"id":"\u200b"}', '{"id":" "}', '{"id":""}', '{"id":" 7 "}', '{"id":"%s"}' % ("é" * 256), '{"id":"%s"}' % ("é" * 257),
    '{"id":"%s"}' % ("x" * 256), '{"id":"%s"}' % ("x" * 257), '{"id":"%s"}' % ("😀" * 256), '{"id":-0}', '{"id":1.0}',
    '{"id":1e3}', '{"id":-7}', '{"id":%s}' % ("1" * 256), '{"id":%s}' % ("1" * 257), '{"id":-%s}' % ("1" * 255),
    '{"id":-%s}' % ("1" * 256), '{"id":%s}' % ("1" * 5000), '{"id":true}', '{"id":null}', '{"id":[]}', '{"id":{}}', '{}',
    '{"ID":1}', '{"properties":{}}', '{"id":1,"properties":null}', '{"id":1,"properties":[]}', '{"id":1,"properties":"{}"}',
    '{"id":1,"properties":5}', "[]", "[1]", "5", '"x"', "null", "true", "NaN", "{", "}", "{}{}", '{"id":1}{"id":2}', '{"id":1},',
    '{"id":1,}', '{"id":1 , }', '\ufeff{"id":1}', ' {"id":1} ', '\t{"id":1}\r', '{"id":1}\x0b', '{"id":1}\xa0', '\ufeff',
    "", " ", "\t", "\r", " \r", "\x00", "\x0c", '{"id":1,"properties":{"a":1}}x', '{"id":1,"properties":{"a":1}',
    '{"id" : 1 , "properties" : { "a" : 1 , "b" : [ 1 , 2 ] } }', '{"properties":{"a":1},"id":5}', '{"id":1//\r}', "[" * 1500, '{"id":' * 400,
    '{"id":"1", "properties": {"a": "x"}, "properties": {"a": "y"}}', '{"id":"5","properties":{"a":1},"x":{}}',
    '{"id":"x","properties":{"a":1,"b":2}}', '{"id":"y","properties":{"b":1,"a":2}}', '{"id":"z","properties":{"b":2}}',
    '{"id":"w","properties":{"a":1,"a":2}}', '{"id":"v","properties":{"a":1,"b":2,"a":3}}',
]  # fmt: skip

nasty_rows = st.sampled_from(NASTY)
mutated = st.builds(
    lambda row, place, what: row[: place % (len(row) + 1)] + what + row[place % (len(row) + 1) + 1 :],
    plain_rows() | nasty_rows,
    st.integers(0, 200),
    st.sampled_from(list('{}[]",:\\ \t\r\x00e0-+.n') + ["", "\\u", '"id":1,', "1e999", "\ud7ff"]),
)
rows = st.one_of(plain_rows(), mutated, nasty_rows).map(str.encode) | st.binary(max_size=12)
styles = st.lists(rows, max_size=6).flatmap(
    lambda few: st.lists(st.sampled_from(few) | rows, max_size=40) if few else st.just(few)
)


def expected(data: bytes) -> tuple[list[tuple[int, Accepted]], list[Reject], int]:
    """The policy, applied one line at a time."""
    contacts, rejects, blank, first, offset = [], [], 0, {}, 0
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1] if not lines[-1] else lines, 1):
        row = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        verdict = classify(row, ROW_BYTES)
        if isinstance(verdict, Accepted) and verdict.id in first:
            message = f"the id '{verdict.id}' was already on line {first[verdict.id]}"
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


def check(data: bytes, block_bytes: int, cohort_size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = read_bytes(data, Path(folder) / "x", limits(ROW_BYTES, cohort_size), block_bytes)
        except FileFailed:
            return
    contacts, rejects, blank = expected(data)
    assert result.rejects == rejects
    assert [(line, id) for line, id, _ in result.contacts] == [(line, row.id) for line, row in contacts]
    for (line, _, stored), (_, row) in zip(result.contacts, contacts, strict=True):
        assert same(json.loads(stored), json.loads(row.properties)), (line, stored, row.properties)
        assert unique_names(stored)
    assert result.receipt.blank == blank
    assert result.receipt.lines == len(contacts) + len(rejects) + blank


def same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other and not (isinstance(one, float) and math.isinf(one))


def unique_names(text: str) -> None:
    """Reads JSON and fails if an object has a name twice."""

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len(pairs) == len(dict(pairs)), text
        return dict(pairs)

    json.loads(text, object_pairs_hook=members)


relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@relaxed
@given(
    styles,
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.integers(4000, 9000),
    st.sampled_from([1, 3, 50]),
)
def test_any_mix_of_rows_is_read_as_the_strict_reading_says(
    lines: list[bytes], newline: bytes, last: bool, block_bytes: int, cohort_size: int
) -> None:
    check(newline.join(lines) + (newline if last else b""), block_bytes, cohort_size)


@relaxed
@given(st.binary(max_size=300))
def test_any_bytes_are_accounted_for(data: bytes) -> None:
    check(data, 4000, 50)


def test_every_nasty_row_is_read_as_the_strict_reading_says_alone_and_among_others() -> None:
    plain = ['{"id":"%d","properties":{"a":%d}}' % (number, number) for number in range(2000, 2040)]
    everything = [row for nasty in NASTY for row in (nasty, plain[len(nasty) % 40])]
    check("\n".join(["{}", *NASTY, *everything]).encode(), 5000, 7)
    check("\n".join(["{}", *plain * 50, *NASTY, *everything]).encode(), 1 << 20, 1000)


def test_each_kind_of_row_at_the_head_of_a_file_leaves_the_rest_alone() -> None:
    plain = ['{"id":"%d","properties":{"a":%d}}' % (number, number) for number in range(5)]
    for nasty in NASTY:
        check("\n".join([nasty, *plain]).encode(), 4000, 50)
        check("\n".join([*plain, nasty]).encode(), 4000, 50)


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
            if isinstance(value, str) and '"' not in name and "\\" not in name:
                path = f'$."{name}"'
                found = duckdb.execute("select json_extract_string(?, ?)", [stored, path]).fetchone()
                assert found == (value,), (stored, name)
