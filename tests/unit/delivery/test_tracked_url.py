"""The URLs that tell of opens and clicks."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.delivery.tracked_url import link_name, read_link, read_when, target_path, when_text

KEY, SECRET = "1hll3tp27vdp735id00101glfsrjkic02q", b"secret"
WHEN = when_text(datetime(2026, 11, 26, 12, 0, 5, tzinfo=UTC))


@given(st.datetimes(datetime(1970, 1, 2), datetime(2900, 1, 1), timezones=st.just(UTC)))
def test_a_moment_is_read_back_to_the_second(at: datetime) -> None:
    assert read_when(when_text(at)) == at.replace(microsecond=0)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_a_target_is_read_back_octet_for_octet(target: str) -> None:
    name = link_name("https://x.se/{{ id }}")
    found = read_link(KEY, f"{WHEN}/{name}/{target_path(KEY, SECRET, name, target)}", [b"newer", SECRET])
    assert found is not None
    assert (found.link, found.target, found.when) == (name, target, read_when(WHEN))


@pytest.mark.parametrize(
    "rest",
    ["", "x", WHEN, f"{WHEN}/", f"{WHEN}/abc", "../../evil", "https://evil.example", f"{WHEN}/aaaaaaaa/",
     "aaaaaaaa/" + "0" * 12, "aaaaaaaa/" + "0" * 12 + "aHR0", "AAAAAAAA", "aaaaaaaa\n",
     f"{WHEN}/aaaaaaaa/{'0' * 12}{'a' * 3000}"],
)  # fmt: skip
def test_what_was_not_made_here_is_no_link(rest: str) -> None:
    assert read_link(KEY, rest, [SECRET]) is None


def test_a_signature_is_of_one_key_one_link_and_one_secret() -> None:
    name, other = link_name("a"), link_name("b")
    made = target_path(KEY, SECRET, name, "https://x.se")
    assert read_link(KEY, f"{name}/{made}", [SECRET]) is not None
    assert read_link(KEY[:-1] + "0", f"{name}/{made}", [SECRET]) is None
    assert read_link(KEY, f"{other}/{made}", [SECRET]) is None
    assert read_link(KEY, f"{name}/{made}", [b"other"]) is None
