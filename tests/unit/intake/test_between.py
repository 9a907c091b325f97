"""A file that is read by spans gives the same contacts and rejects as one that is read as a whole."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.errors import FileFailed
from caravan.intake.between import drop_losers, find_losers, join_rejects
from caravan.intake.parse import hash_family
from caravan.intake.parts import Part
from caravan.intake.receipt import Receipt
from caravan.intake.rejects import Reject, read_rejects
from caravan.intake.span import read_span
from caravan.intake.survey import LineCounter, Span, spans
from tests.unit.intake.reading_bytes import limits, read_bytes
from tests.unit.intake.test_agreement import ROW_BYTES, agrees, relaxed, styles

LIMITS = limits(ROW_BYTES, cohort_size=5, block_bytes=4000)


class Cut:
    """A file in spans, each read in a folder of its own: the whole file, or a piece that was fetched for it."""

    def __init__(self, data: bytes, folder: Path, pieces: bool, chunk: int, span_bytes: int) -> None:
        self._data, self._folder, self._pieces = data, folder, pieces
        counter = LineCounter(chunk)
        counter.feed(data)
        self.spans = spans(len(data), counter.counts, span_bytes, chunk)

    def source(self, span: Span) -> tuple[Path, int]:
        at = span.start if self._pieces else 0
        path = self._folder / f"source-{at}"
        path.write_bytes(self._data[at : span.stop + ROW_BYTES + 2] if self._pieces else self._data)
        return path, at

    def folder(self, name: str) -> Path:
        path = self._folder / name
        path.mkdir()
        return path

    def read(self) -> list[Receipt]:
        return [read_span(*self.source(span), span, self.folder(f"span-{span.start}"), LIMITS) for span in self.spans]

    def drop(self, read: Receipt, losers: Path, span: Span) -> tuple[list[Part], Path]:
        out = self.folder(f"dropped-{span.start}")
        done = drop_losers(read.parts, read.rejects, losers, *self.source(span), span, out, LIMITS)
        assert sum(each.size for each in done.parts if each) == read.entered - done.losers
        for old, new in zip(read.parts, done.parts, strict=True):
            assert new is None or (new == old) == (new.size == old.size)
        return [each for each in done.parts if each], done.rejects


def read_by_spans(
    data: bytes, folder: Path, pieces: bool, chunk: int, span_bytes: int, rehash: bool
) -> tuple[list[tuple[int, str, str]], list[Reject], int]:
    """Contacts, rejects and blank lines."""
    cut = Cut(data, folder, pieces, chunk, span_bytes)
    receipts = cut.read()
    found = find_losers([each.ids for each in receipts], cut.folder("losers"), LIMITS, rehash=rehash, bucket=20)
    parts, rejects = [], []
    for span, read, losers in zip(cut.spans, receipts, found, strict=True):
        left, refused = cut.drop(read, losers, span) if losers else (read.parts, read.rejects)
        parts += left
        rejects += [refused] if refused else []
    joined = join_rejects(rejects, folder / "joined.parquet")
    contacts = [
        (row["line"], row["id"], row["properties"]) for part in parts for row in pq.read_table(part.path).to_pylist()
    ]
    return contacts, list(read_rejects(joined)) if joined else [], sum(each.blank for each in receipts)


def check(data: bytes, pieces: bool, chunk: int, span_bytes: int, rehash: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            read_bytes(data, Path(folder) / "whole", LIMITS)
        except FileFailed:
            return
        contacts, rejects, blank = read_by_spans(data, Path(folder), pieces, chunk, span_bytes, rehash)
    agrees(data, contacts, rejects, blank)


@relaxed
@given(styles, st.booleans(), st.integers(1, 200), st.integers(1, 1500), st.booleans())
def test_reading_by_spans_gives_what_reading_the_whole_gives(
    lines: list[bytes], pieces: bool, chunk: int, span_bytes: int, rehash: bool
) -> None:
    check(b"\n".join(lines), pieces, chunk, max(span_bytes, len(b"\n".join(lines)) // 8), rehash)


ROWS = [b'{"id":"%d","properties":{"n":"%s"}}' % (number * number % 37, b"x" * (number % 9)) for number in range(120)]


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_ids_that_return_in_other_spans_lose_to_the_first_in_the_file(pieces: bool, newline: bytes) -> None:
    check(b"\xef\xbb\xbf" + newline.join([*ROWS, b"bad", b"", b"x" * 5000, *ROWS]), pieces, 500, 1000, rehash=False)


def test_equal_hashes_of_different_ids_are_no_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "caravan.intake.span.hashes", lambda _, ids: np.array([len(each.as_py()) for each in ids], np.uint64)
    )
    check(b"\n".join(ROWS), False, 500, 1000, rehash=False)


def test_a_span_inside_a_row_that_is_too_long_owns_nothing(tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b'{"id":1}\n' + b"x" * 9000 + b'\n{"id":2}')
    read = read_span(source, 0, Span(4000, 6000, 3), tmp_path, LIMITS)
    assert read == Receipt(0, 0, {}, [], None, None)
    assert find_losers([read.ids, None], tmp_path, LIMITS) == [None, None]


def test_a_span_of_bad_rows_is_no_failure(tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"bad\n\nbad")
    read = read_span(source, 0, Span(0, 8, 1), tmp_path, LIMITS)
    assert (read.lines, read.blank, read.entered, read.ids) == (3, 1, 0, None)


def test_whoever_hears_the_progress_may_stop_the_search_and_the_removal(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        assert 0 < done <= total
        raise InterruptedError

    cut = Cut(b"\n".join(ROWS), tmp_path, False, 500, 1000)
    receipts = cut.read()
    ids = [each.ids for each in receipts]
    with pytest.raises(InterruptedError):
        find_losers(ids, cut.folder("stopped"), LIMITS, progress=stop)
    losers = find_losers(ids, cut.folder("losers"), LIMITS)[-1]
    assert losers is not None
    with pytest.raises(InterruptedError):
        drop_losers(receipts[-1].parts, receipts[-1].rejects, losers, *cut.source(cut.spans[-1]), cut.spans[-1],
                    cut.folder("dropped"), LIMITS, progress=stop)  # fmt: skip


def test_the_hash_family_changes_with_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    family = hash_family()
    assert hash_family() == family
    monkeypatch.setattr("caravan.intake.parse.hashes", lambda _, ids: np.arange(len(ids), dtype=np.uint64))
    assert hash_family() != family
