"""What is kept of an answer, and which paths may look for it."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.webhook_save import LONGEST_ANSWER, NothingSaved, Saver, check_path

ANSWER = {"score": 7, "ok": True, "none": None, "items": [{"n": 1}, {"n": 2.5}], "a b": "x"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.score", 7), ("$.ok", True), ("$.none", None), ("$['a b']", "x"), ("$.items[1].n", 2.5), 
        ("$.items[-1].n", 2.5),
        ("$.items[*].n", [1, 2.5]), ("$.items[:1]", [{"n": 1}]), ("$..n", [1, 2.5]), ("$", ANSWER),
    ],
)  # fmt: skip
def test_a_path_to_one_place_gives_its_value_and_any_other_a_list(path: str, value: Any) -> None:
    assert Saver({"p": check_path(path)}).found(json.dumps(ANSWER).encode()) == {"p": value}


@pytest.mark.parametrize("path", ["$.missing", "$.score.deeper", "$.items[9]", "$.missing[*]"])
def test_a_path_that_finds_nothing_changes_nothing(path: str) -> None:
    assert Saver({"p": path, "q": "$.ok"}).found(json.dumps(ANSWER).encode()) == {"q": True}


@pytest.mark.parametrize(
    "path",
    ["", "score", "$.", "$[", "$[?@.n > 1]", "$..*..n", "$['a','a']", "$[0,0]", "$.a | $.b", "^.a", "$.~a", "$.a" * 300,
     "$[?match(@.a, '(a+)+')]"],
)  # fmt: skip
def test_a_path_that_is_none_or_could_work_for_long_is_refused(path: str) -> None:
    with pytest.raises(ValueError):
        check_path(path)


@pytest.mark.parametrize(
    "answer", [b"", b"thanks", b'{"p": NaN}', b"\xff", b"[" * 60_000, b'"' + b"x" * LONGEST_ANSWER + b'"']
)
def test_of_what_is_no_json_or_too_long_nothing_is_kept(answer: bytes) -> None:
    with pytest.raises(NothingSaved):
        Saver({"p": "$.p"}).found(answer)


@given(st.binary(max_size=200))
def test_no_answer_makes_it_fail_otherwise(answer: bytes) -> None:
    with suppress(NothingSaved):
        Saver({"p": "$..p", "q": "$[0]"}).found(answer)
