"""The SDK's reading of streams."""

import httpx

from caravan.client.client import _lines


def test_a_line_ends_with_a_newline_and_nothing_else() -> None:
    rows = '{"row": "one\u2028two\x85three"}\n{"row": "fo'.encode(), b'ur"}\n\nlast'
    answer = httpx.Response(200, content=iter(rows))
    assert list(_lines(answer)) == ['{"row": "one\u2028two\x85three"}', '{"row": "four"}', "last"]
