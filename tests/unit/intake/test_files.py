"""Whole files: compressed, in other encodings, arrays, empty ones; parts, duplicates across them, and stopping."""

import gzip
import json
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard

from caravan.errors import FileFailed, FileFailure
from caravan.intake.expand import Encoding, expand
from caravan.intake.reading import Limits, read_contacts
from caravan.intake.receipt import tell, to_json
from caravan.intake.rejects import RejectCode, read_rejects
from caravan.settings import Settings
from tests.unit.intake.reading_bytes import limits, read_bytes

ROWS = b"".join(b'{"id":"%d","properties":{"n":%d}}\n' % (number, number) for number in range(2000))


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (b"", "empty", "The file is empty."),
        (b"\n \r\n\n", "empty", "The file has only blank lines."),
        (b"\xef\xbb\xbf", "empty", "The file has only blank lines."),
        ("\ufeff{}".encode("utf-16-le"), "unreadable", "The file is UTF-16; save it as UTF-8 and send it again."),
        ("{}".encode("utf-16-le"), "unreadable", "The file is UTF-16; save it as UTF-8 and send it again."),
        ("{}".encode("utf-16-be"), "unreadable", "The file is UTF-16; save it as UTF-8 and send it again."),
        ("{}".encode("utf-32"), "unreadable", "The file is UTF-32; save it as UTF-8 and send it again."),
        ("{}".encode("utf-32-be"), "unreadable", "The file is UTF-32; save it as UTF-8 and send it again."),
        *(
            (data, "json_array", "The file is one JSON array; write each contact as an object on a line of its own.")
            for data in (
                b'[{"id":1}]', b'\n [{"id":1},\n{"id":2}]\n', b"[\n]", b"\xef\xbb\xbf[]", b"[1]\n\n \n",
                b"[" + b"1," * 9000 + b"1]\n{}",
            )
        ),
    ],
)  # fmt: skip
def test_a_file_of_no_use_fails_with_its_own_sentence(data: bytes, code: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(FileFailed) as failed:
        read_bytes(data, tmp_path, limits(row_bytes=1000))
    assert (failed.value.code, failed.value.message) == (code, sentence)


def test_arrays_on_lines_of_their_own_are_bad_rows(tmp_path: Path) -> None:
    result = read_bytes(b'[1]\n[2]\n{"id":1}\n', tmp_path, limits())
    assert result.receipt.rejected == {RejectCode.NOT_OBJECT: 2}


def test_a_file_without_one_good_row_fails_but_has_its_receipt(tmp_path: Path) -> None:
    receipt = read_bytes(b"a\nb\n\n", tmp_path, limits()).receipt
    assert receipt.failure is not None
    assert receipt.failure.code is FileFailure.TOO_MANY_REJECTS
    assert receipt.failure.message == (
        "None of the 2 rows can be used. The first problem is on line 1: "
        "The row is not JSON: 'a' stands at character 1 where a value must follow."
    )
    assert (receipt.lines, receipt.blank, receipt.rejected) == (3, 1, {RejectCode.NOT_JSON: 2})


PACKED = {
    "gzip": gzip.compress(ROWS),
    "two gzip members": gzip.compress(ROWS[:5000]) + gzip.compress(ROWS[5000:]),
    "zstd": zstandard.compress(ROWS),
    "two zstd frames": zstandard.compress(ROWS[:5000]) + zstandard.compress(ROWS[5000:]),
    "a zstd frame to skip": b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zstandard.compress(ROWS),
}


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED.keys())
def test_a_compressed_file_is_known_by_its_first_bytes(data: bytes, tmp_path: Path) -> None:
    assert read_bytes(data, tmp_path, limits()).receipt.entered == 2000


@pytest.mark.parametrize(("encoding", "kind"), [(Encoding.GZIP, "gzip"), (Encoding.ZSTD, "zstd")])
def test_a_compressed_file_is_expanded_as_its_header_says(encoding: Encoding, kind: str, tmp_path: Path) -> None:
    source = tmp_path / "packed"
    source.write_bytes(PACKED[kind])
    heard: list[tuple[int, int]] = []
    path = expand(source, tmp_path, encoding, len(ROWS), lambda done, total: heard.append((done, total)))
    assert path.read_bytes() == ROWS
    assert heard[-1] == (len(PACKED[kind]), len(PACKED[kind]))


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("keep", [5, 100, -1])
def test_a_compressed_file_that_is_cut_off_is_unreadable(kind: str, keep: int, tmp_path: Path) -> None:
    with pytest.raises(FileFailed, match=rf"^The {kind} file is damaged or cut off; send it again\.$"):
        read_bytes(PACKED[kind][:keep], tmp_path, limits())


def test_a_compressed_file_with_a_flipped_bit_is_unreadable(tmp_path: Path) -> None:
    data = bytearray(PACKED["gzip"])
    data[len(data) // 2] ^= 4
    with pytest.raises(FileFailed) as failed:
        read_bytes(bytes(data), tmp_path, limits())
    assert failed.value.code is FileFailure.UNREADABLE


def test_a_plain_file_that_was_sent_as_gzip_is_unreadable(tmp_path: Path) -> None:
    source = tmp_path / "plain"
    source.write_bytes(ROWS)
    with pytest.raises(FileFailed, match=r"^The file was sent as gzip, but it is not gzip\.$"):
        expand(source, tmp_path, Encoding.GZIP, 1 << 20)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_file_that_expands_beyond_the_limit_is_too_large_and_fills_no_disk(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    source = tmp_path / "bomb"
    source.write_bytes(pack(bytes(50 << 20)))
    with pytest.raises(FileFailed) as failed:
        expand(source, tmp_path, None, 3 << 20)
    assert failed.value.code is FileFailure.TOO_LARGE
    assert (tmp_path / "expanded").stat().st_size <= 3 << 20


def test_parts_keep_the_order_of_the_lines_and_no_part_is_larger_than_a_cohort(tmp_path: Path) -> None:
    result = read_bytes(ROWS, tmp_path, limits(cohort_size=300, block_bytes=20_000))
    assert [id for _, id, _ in result.contacts] == [str(number) for number in range(2000)]
    assert [part.size for part in result.receipt.parts] == [300] * 6 + [200]
    for part in result.receipt.parts:
        schema = pq.read_schema(part.path)
        assert [(field.name, str(field.type)) for field in schema] == [
            ("line", "int64"), ("id", "string"), ("properties", "string")
        ]  # fmt: skip


def test_a_part_is_bounded_in_bytes_too(tmp_path: Path) -> None:
    rows = b"".join(json.dumps({"id": n, "properties": {"a": "x" * 900}}).encode() + b"\n" for n in range(100))
    result = read_bytes(rows, tmp_path, limits(row_bytes=1000, block_bytes=10_000))
    assert max(part.size for part in result.receipt.parts) <= 11
    assert result.receipt.entered == 100


def test_of_equal_ids_anywhere_in_the_file_the_first_line_counts(tmp_path: Path) -> None:
    again = b'{"id":1999}\n{"id":"0","properties":{"x":1}}\nbroken\n{"id":"new"}\n{"id":0}\n'
    result = read_bytes(ROWS + again, tmp_path, limits(cohort_size=300))
    assert [(each.line, each.code, each.message) for each in result.rejects] == [
        (2001, RejectCode.DUPLICATE, "The id '1999' was already on line 2000."),
        (2002, RejectCode.DUPLICATE, "The id '0' was already on line 1."),
        (2003, RejectCode.NOT_JSON, "The row is not JSON: 'b' stands at character 1 where a value must follow."),
        (2005, RejectCode.DUPLICATE, "The id '0' was already on line 1."),
    ]
    assert result.rejects[1].offset == len(ROWS) + len(b'{"id":1999}\n')
    assert [id for _, id, _ in result.contacts] == [*map(str, range(2000)), "new"]


def test_a_file_of_one_contact_over_and_over_enters_it_once(tmp_path: Path) -> None:
    result = read_bytes(b'{"id":"1"}\n' * 1000, tmp_path, limits(cohort_size=100))
    assert (result.receipt.entered, result.receipt.rejected) == (1, {RejectCode.DUPLICATE: 999})
    assert [each.line for each in result.rejects] == list(range(2, 1001))
    assert [part.size for part in result.receipt.parts] == [1]


def test_rejects_are_read_from_any_line_on(tmp_path: Path) -> None:
    receipt = read_bytes(b'{"id":1}\n' + b"bad\n" * 500, tmp_path, limits(cohort_size=100)).receipt
    assert receipt.rejects is not None
    assert [each.line for each in read_rejects(receipt.rejects, after_line=498)] == [499, 500, 501]


def test_a_reading_that_its_caller_stops_ends_with_that_exception_and_without_threads(tmp_path: Path) -> None:
    class Paused(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert 0 < done <= total
        raise Paused

    source = tmp_path / "contacts"
    source.write_bytes(ROWS)
    (tmp_path / "out").mkdir()
    with pytest.raises(Paused):
        read_contacts(source, tmp_path / "out", limits(cohort_size=100), progress=stop)
    assert not [each for each in threading.enumerate() if each.name.startswith("intake")]


def test_only_parts_and_rejects_are_left_in_the_folder(tmp_path: Path) -> None:
    data = gzip.compress(ROWS + b"bad\n" + ROWS[:100])
    receipt = read_bytes(data, tmp_path, limits()).receipt
    assert receipt.rejects is not None
    assert set((tmp_path / "out").iterdir()) == {receipt.rejects, *(part.path for part in receipt.parts)}


def test_the_settings_give_the_limits(tmp_path: Path) -> None:
    settings = Settings(max_row_bytes=5, cohort_size=6, max_expanded_bytes=7, duckdb_memory="8MB", threads=9)
    assert Limits.from_settings(settings) == Limits(5, 6, 7, "8MB", 9)
    assert Limits.from_settings(Settings()).threads >= 1


def test_a_receipt_tells_people_what_became_of_the_lines(tmp_path: Path) -> None:
    receipt = read_bytes(ROWS + b"\n" + b"bad\n" * 7 + b'{"id":"5"}\n', tmp_path, limits()).receipt
    assert tell(receipt).splitlines() == [
        "lines                     2,009",
        "blank                         1",
        "entered                   2,000",
        "rejected                      8",
        "  duplicate                   1   line 2,009",
        "  not_json                    7   lines 2,002, 2,003, 2,004, 2,005, 2,006, …",
    ]
    assert to_json(receipt) == {
        "lines": 2009,
        "blank": 1,
        "entered": 2000,
        "rejected": {"duplicate": 1, "not_json": 7},
        "first_lines": {"duplicate": [2009], "not_json": [2002, 2003, 2004, 2005, 2006]},
        "error": None,
    }


def test_a_receipt_of_a_failed_file_ends_with_the_reason(tmp_path: Path) -> None:
    receipt = read_bytes(b"{}", tmp_path, limits()).receipt
    assert tell(receipt).splitlines()[-1] == ("The only row can't be used. The problem on line 1: The row has no id.")
    assert to_json(receipt)["error"] == {
        "code": "too_many_rejects",
        "message": tell(receipt).splitlines()[-1],
    }
