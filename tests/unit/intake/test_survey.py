"""A file is cut into spans that own each line once, under its number."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from caravan.intake.blocks import Size, read_blocks
from caravan.intake.survey import LineCounter, Span, owned, spans

texts = st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\r"]), max_size=60).map(b"".join)


def counted(data: bytes, chunk: int, piece: int) -> list[int]:
    counter = LineCounter(chunk)
    for start in range(0, len(data), piece):
        counter.feed(data[start : start + piece])
    return counter.counts


@given(texts, st.integers(1, 9), st.integers(1, 20))
def test_newlines_are_counted_before_each_chunk_however_the_file_passes_by(data: bytes, chunk: int, piece: int) -> None:
    expected = [data.count(b"\n", 0, position) for position in range(0, len(data) + 1, chunk)]
    assert counted(data, chunk, piece) == expected


@given(texts, st.integers(1, 9), st.integers(1, 30))
def test_every_line_is_in_one_span_under_its_number(
    tmp_path_factory,
    data: bytes,
    chunk: int,
    span_bytes: int,  # type: ignore[no-untyped-def]
) -> None:
    path: Path = tmp_path_factory.mktemp("survey") / "file"
    path.write_bytes(data)
    found = []
    for span in spans(len(data), counted(data, chunk, 5), span_bytes, chunk):
        for block in read_blocks(owned(path, 0, span), Size(3, 40, 10)):
            found += [(block.first_line + index, block.line(index)) for index in range(len(block.ends))]
    lines = data.split(b"\n")
    assert found == list(enumerate(lines if lines[-1] else lines[:-1], 1))


def test_spans_are_whole_chunks_and_end_with_the_file() -> None:
    assert spans(25, [0, 3, 5], 20, chunk=10) == [Span(0, 20, 1), Span(20, 25, 7)]
    assert spans(20, [0, 3, 5], 1, chunk=10) == [Span(0, 10, 1), Span(10, 20, 5)]
    assert spans(0, [0], 10, chunk=10) == []
