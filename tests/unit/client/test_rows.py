"""Batches of rows and tables, before a server that says what the test wrote for it, over a real socket."""

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from caravan.client import CallFailed
from caravan.client.rows import Rows, ndjson, rows_of_table
from caravan.errors import InvalidInput
from caravan.intake.strict import Accepted, classify
from tests.unit.client.test_client import AWAY, OPENED, TAKEN, serving


def sent(rows: Iterable[Any] | Callable[[], Iterable[Any]], id_column: str | None = None) -> list[dict[str, Any]]:
    """The lines that rows become."""
    return [json.loads(line) for line in b"".join(ndjson(Rows(rows, id_column))).splitlines()]


def table(path: Path, id_column: str = "id") -> list[dict[str, Any]]:
    return sent(rows_of_table(path), id_column)


def written(path: Path, lines: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


def test_rows_become_lines_in_their_order() -> None:
    assert sent([{"id": "a", "properties": {"n": 1}}, {"id": 2}, {"id": "c", "properties": None}]) == [
        {"id": "a", "properties": {"n": 1}},
        {"id": 2, "properties": {}},
        {"id": "c", "properties": {}},
    ]
    assert sent([{"key": "a", "n": 1, "id": 9}], "key") == [{"id": "a", "properties": {"n": 1, "id": 9}}]


def test_what_json_has_no_form_for_becomes_what_contacts_have() -> None:
    row = {
        "id": "a",
        "day": date(2026, 5, 4),
        "at": datetime(2026, 5, 4, 9, tzinfo=UTC),
        "price": Decimal("1.50"),
        "count": Decimal("3"),
        "key": UUID(int=1),
        "tags": ("x", "y"),
    }
    assert sent([row], "id")[0]["properties"] == {
        "day": "2026-05-04",
        "at": "2026-05-04T09:00:00+00:00",
        "price": 1.5,
        "count": 3,
        "key": "00000000-0000-0000-0000-000000000001",
        "tags": ["x", "y"],
    }


@pytest.mark.parametrize(
    "row, id_column, word",
    [
        ({"name": "x"}, None, "is not like"),
        ({"id": "a", "name": "x"}, None, "name the id_column"),
        ({"id": "a"}, "key", "has nothing in 'key'"),
        ({"key": ""}, "key", "has nothing in 'key'"),
        ({"id": "a", "x": float("nan")}, "id", "can't be sent"),
        ({"id": "a", "x": b"bytes"}, "id", "a bytes has no form in JSON"),
        ({"id": "a", "x": Decimal("NaN")}, "id", "can't be sent"),
        (["a"], None, "is no dict"),
    ],
)
def test_a_row_that_can_not_be_sent_is_told_with_its_number(row: Any, id_column: str | None, word: str) -> None:
    good = {"id": "a"} if id_column is None else {"id": "a", "key": "a"}
    with pytest.raises(InvalidInput) as refused:
        sent([good, row], id_column)
    assert "Row 2" in refused.value.message and word in refused.value.message


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=8) | st.integers(-9, 9) | st.none(), max_size=4)))
def test_whatever_the_texts_are_the_server_reads_each_line_as_its_row(properties: list[dict[str, Any]]) -> None:
    rows = [{"id": str(number), "properties": each} for number, each in enumerate(properties)]
    try:
        lines = b"".join(ndjson(Rows(rows))).split(b"\n")[:-1]
    except InvalidInput as refused:
        assert "surrogates" in refused.message
        return
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        verdict = classify(line, 1 << 20)
        if isinstance(verdict, Accepted):
            assert (verdict.id, json.loads(verdict.properties)) == (row["id"], row["properties"])
        else:
            assert "\0" in str(row["properties"]) or "\\x00" in repr(row)


def test_a_csv_file_has_texts_and_leaves_out_what_is_empty(tmp_path: Path) -> None:
    lines = [["number", "phone", "note", "x y"], ["1", "0046701", 'a "b", c\nd', ""], ["2", "", "é🌷", "1.50"]]
    expected = [
        {"id": "1", "properties": {"phone": "0046701", "note": 'a "b", c\nd'}},
        {"id": "2", "properties": {"note": "é🌷", "x y": "1.50"}},
    ]
    plain = written(tmp_path / "a.csv", lines)
    assert table(plain, "number") == expected
    with_mark = tmp_path / "b.CSV"
    with_mark.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    assert table(with_mark, "number") == expected
    packed = tmp_path / "c.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert table(packed, "number") == expected


@pytest.mark.parametrize(
    "content, word",
    [
        (b"id,a\n1\n", "row 1: it has 1 values, and the first line 2 names"),
        (b"id,a,a\n1,2,3\n", "a name of its own"),
        (b"id,\n1,2\n", "a name of its own"),
        (b"id,a\n1,\xff\n", "it is not UTF-8"),
        (b'id,a\n1,"2\n', "after row 0"),
    ],
)
def test_a_csv_file_that_is_none_is_told(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as refused:
        table(path)
    assert word in refused.value.message


def test_a_parquet_file_keeps_types_and_leaves_out_what_is_null(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [
        {"id": 1, "n": 1.5, "yes": True, "day": date(2026, 1, 2), "tags": ["x"], "deep": {"a": 1}},
        {"id": 2, "n": None, "yes": None, "day": None, "tags": [], "deep": None},
        {"id": 3, "n": float("nan"), "yes": False, "day": None, "tags": None, "deep": None},
    ]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    assert table(path) == [
        {"id": 1, "properties": {"n": 1.5, "yes": True, "day": "2026-01-02", "tags": ["x"], "deep": {"a": 1}}},
        {"id": 2, "properties": {"tags": []}},
        {"id": 3, "properties": {"yes": False}},
    ]
    path.write_bytes(b"PAR1 none")
    with pytest.raises(InvalidInput, match=r"a\.parquet is no Parquet file"):
        table(path)


def test_rows_are_sent_as_they_come_and_progress_is_told() -> None:
    alive = 0

    def rows() -> Iterator[Mapping[str, Any]]:
        nonlocal alive
        for number in range(20_000):
            alive = number
            yield {"id": str(number), "properties": {"text": "x" * 40}}

    told: list[tuple[int, int]] = []
    pieces = ndjson(Rows(rows, progress=lambda count, size: told.append((count, size))))
    first = next(pieces)
    assert 0 < alive < 5_000  # the others are not asked for before the first ones are sent
    total = len(first) + sum(map(len, pieces))
    assert told == sorted(told) and told[-1] == (20_000, total)


def test_a_batch_of_rows_is_opened_and_filled() -> None:
    with serving(OPENED, TAKEN) as (server, client, _):
        opened: list[str] = []
        started = client.start_batch(4, [{"id": "a"}], key="k", opened=lambda each: opened.append(each.batch))
    assert (started.batch, opened) == ("b_1", ["b_1"])
    post, put = server.asked
    assert (post[:3], json.loads(post[3])) == (("POST", "/7/batchtrigger/v2", "k"), {"entityId": 4})
    assert (put[0], put[1], put[3]) == ("PUT", "/uploads/secret", b'{"id": "a", "properties": {}}\n')


@pytest.mark.parametrize("source", [[{"id": "a"}], lambda: iter([{"id": "a"}])], ids=["a list", "a function"])
def test_what_can_be_read_again_is_sent_again(source: Any) -> None:
    with serving(OPENED, None, AWAY, TAKEN) as (server, client, slept):
        client.start_batch(4, source)
    assert [each[3] for each in server.asked[1:]] == [b'{"id": "a", "properties": {}}\n'] * 3
    assert len(slept) == 2


def test_an_iterator_is_sent_once_and_the_failure_says_why() -> None:
    with serving(OPENED, None) as (server, client, slept), pytest.raises(CallFailed) as failed:
        client.start_batch(4, iter([{"id": "a"}]))
    assert "came from an iterator" in failed.value.message
    assert (len(server.asked), slept) == (2, [])


def test_a_row_that_can_not_be_sent_ends_the_upload() -> None:
    with serving(OPENED, TAKEN) as (_, client, _), pytest.raises(InvalidInput, match="Row 2"):
        client.start_batch(4, [{"id": "a"}, {"name": "b"}])


def test_a_store_that_takes_no_stream_is_told() -> None:
    refused = (411, '{"error": "MissingContentLength"}')
    with serving(OPENED, refused) as (_, client, _), pytest.raises(CallFailed, match="write the rows to a file"):
        client.start_batch(4, [{"id": "a"}])


def test_paths_and_urls_go_their_own_ways(tmp_path: Path) -> None:
    file = tmp_path / "contacts.ndjson"
    file.write_bytes(b'{"id": "1"}\n')
    with serving(OPENED, TAKEN, TAKEN, OPENED, TAKEN) as (server, client, _):
        client.start_batch(4, str(file))
        client.start_batch(4, "https://files.example.com/contacts")
        client.start_batch(4, written(tmp_path / "a.csv", [["id", "n"], ["1", "2"]]))
    bodies = [each[3] for each in server.asked]
    assert bodies[1] == b'{"id": "1"}\n'
    assert json.loads(bodies[2]) == {"entityId": 4, "downloadUrl": "https://files.example.com/contacts"}
    assert json.loads(bodies[4]) == {"id": "1", "properties": {"n": "2"}}
    with serving() as (_, client, _), pytest.raises(InvalidInput, match=r"nowhere\.csv is no file"):
        client.start_batch(4, tmp_path / "nowhere.csv")
