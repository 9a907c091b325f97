"""The search for bytes that aren't UTF-8 agrees with Python's decoder."""

from hypothesis import example, given
from hypothesis import strategies as st

from caravan.intake.utf8 import not_utf8

EDGES = [
    b"", b"a", "é".encode(), "€".encode(), "😀".encode(), b"\x7f", b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf",
    b"\xc2\x80", b"\xc2", b"\xdf\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xe0\xa0\x80", b"\xe2\x82", b"\xed\x9f\xbf",
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xee\x80\x80", b"\xef\xbf\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf",
    b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xfe", b"\xff",
]  # fmt: skip
pieces = st.lists(st.sampled_from(EDGES) | st.binary(max_size=4), max_size=12).map(b"".join)


def is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@given(pieces)
def test_bytes_are_found_exactly_where_python_cannot_decode(data: bytes) -> None:
    assert (len(not_utf8(data)) == 0) == is_utf8(data)


@example([b"\xe0", b"\x80"])
@given(st.lists(pieces.map(lambda piece: piece.replace(b"\n", b"")), max_size=8))
def test_each_line_is_judged_by_itself(lines: list[bytes]) -> None:
    data = b"\n".join(lines)
    bad = {data.count(b"\n", 0, position) for position in not_utf8(data).tolist()}
    assert bad == {number for number, line in enumerate(lines) if not is_utf8(line)}


def test_edges_of_the_ranges_are_right() -> None:
    assert [edge for edge in EDGES if (len(not_utf8(edge)) == 0) != is_utf8(edge)] == []
