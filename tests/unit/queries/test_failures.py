"""Reasons why contacts were not reached, told apart by what is said and not by whom it is said of."""

import pyarrow as pa
import pytest

from caravan.queries.failures import reply_words


def words(*details: str | None) -> list[str]:
    found: list[str] = reply_words(pa.table({"detail": pa.chunked_array([pa.array(details, pa.string())])})).to_pylist()
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("550 5.1.1 <ana@example.com>: user unknown", "550 5.1.1 <bo@example.org>: user unknown"),
        ("`to` must be one mail address, not 'x1@@example.com'.", "`to` must be one mail address, not 'y@@b.example'."),
        ("450 4.2.0 greylisted, id 4XyZ123abcde", "450 4.2.0 greylisted, id 9PqR887uvwxy"),
        (None, ""),
    ],
)
def test_what_concerns_one_contact_alone_makes_no_reason_of_its_own(one: str | None, other: str | None) -> None:
    first, second = words(one, other)
    assert first == second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("550 5.1.1 <ana@example.com>: user unknown", "552 5.2.2 <ana@example.com>: mailbox full"),
        ("HTTP 404", "HTTP 500"),
        ("450 try again in 300 s", "450 try again in 600 s"),
    ],
)
def test_what_is_said_is_told_apart(one: str, other: str) -> None:
    first, second = words(one, other)
    assert first != second
    assert first.split()[0] in one
