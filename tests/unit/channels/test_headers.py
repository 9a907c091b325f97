"""Which headers a webhook may set is said in one place."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.headers import RESERVED, header_problem, is_header_value


@pytest.mark.parametrize("name", sorted(RESERVED))
@pytest.mark.parametrize("change", [str, str.upper, str.title])
def test_a_reserved_header_is_refused_in_any_case(name: str, change: Callable[[str], str]) -> None:
    assert header_problem(change(name)) == "is set by Caravan itself"


@pytest.mark.parametrize("name", ["", "a b", "a:", "å", "a\r\nb", "a\n", "a\0", "(a)"])
def test_what_is_no_token_is_no_name(name: str) -> None:
    assert header_problem(name) == "is not a header name (RFC 9110)"


@pytest.mark.parametrize("name", ["Authorization", "x-shop", "User-Agent", "Content-Type", "Accept", "Cookie", "Date"])
def test_other_headers_may_be_set(name: str) -> None:
    assert header_problem(name) is None


@given(st.text(st.characters(exclude_categories=()), max_size=50))
def test_a_value_that_is_let_through_is_one_line_of_utf_8(text: str) -> None:
    if is_header_value(text):
        octets = text.encode("utf-8")
        assert not {0, 10, 13, 127} & set(octets)
