"""The A/B step's fields, and who takes which arm."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from caravan.steps.ab import AB, bounds, dealt, point


def ab(*weights: object, id: str = "ab") -> AB:
    """A step with an arm for each weight."""
    return AB.model_validate({"id": id, "arms": [{"weight": each, "to": f"to{n}"} for n, each in enumerate(weights)]})


def test_the_hash_never_changes() -> None:
    """Known values: contacts under way, and comparisons of batches, rely on them in every version."""
    assert point("ab", "0") == 2378579369086822995
    assert point("ab", "1") == 17375689334577677009
    assert point("other", "1") == 14635817897913244774
    assert point("ab", "Åsa") == 8442058667094464289
    assert "".join(str(ab(50, 50).arm(str(n))) for n in range(32)) == "01011101110110111111001101110110"


def test_the_points_are_cut_exactly() -> None:
    assert bounds([1, 1]) == [2**63]
    assert bounds([1, 3]) == [2**62]
    assert bounds([1, 2]) == [6148914691236517206]
    assert bounds([Decimal("0.1"), Decimal("0.2"), Decimal("0.1")]) == [2**62, 3 * 2**62]
    assert bounds([5]) == []


def test_shares_come_close_to_the_weights() -> None:
    step = ab(50, 30, 20)
    taken = [step.arm(f"contact-{n}") for n in range(20_000)]
    assert [round(taken.count(arm) / 20_000, 2) for arm in range(3)] == [0.5, 0.3, 0.2]


@given(
    weights=st.lists(st.integers(1, 1000), min_size=2, max_size=6), contact=st.text(max_size=9), times=st.integers(2, 9)
)
def test_only_the_relation_of_the_weights_counts(weights: list[int], contact: str, times: int) -> None:
    if contact.isascii():
        arm = ab(*weights).arm(contact)
        assert 0 <= arm < len(weights)
        assert arm == ab(*[each * times for each in weights]).arm(contact)


def test_two_steps_deal_the_same_contacts_differently() -> None:
    first, second = ab(1, 1, id="one"), ab(1, 1, id="two")
    same = sum(first.arm(str(n)) == second.arm(str(n)) for n in range(2_000))
    assert 900 < same < 1100


@pytest.mark.parametrize("weight", [0, -1, "x", "", "nan", "inf", "1e999", None, [1], "0.00000001", 10**10])
def test_a_weight_is_a_positive_number(weight: Any) -> None:
    with pytest.raises(ValidationError):
        ab(weight, 1)


def test_a_weight_may_have_decimals_and_is_written_as_a_number() -> None:
    arms = ab("33.5", "66").as_dict()["ab"]
    assert [arm["weight"] for arm in arms] == [33.5, 66]


def test_an_ab_step_has_two_arms_and_no_next() -> None:
    assert [where for where, _ in ab(1).check()] == ["ab"]
    assert [where for where, _ in ab(1, 1).model_copy(update={"next": "x"}).check()] == ["next"]
    assert not list(ab(1, 1).check())
    assert ab(1, 1).targets() == [("ab[0].to", "to0"), ("ab[1].to", "to1")]


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ("score", "numbers and of counts of events only"),
        ("1 +", "a weight is a positive number, like 50 or 0.5, or counts events"),
        ("count('opened') > 2", "a condition can't be used as a number"),
        ("count()", "a weight is a positive number"),
        ("now()", "a time can't be used as a number"),
        ("0", "a weight is a positive number, like 50 or 0.5"),
        ("-3", "a weight is a positive number, like 50 or 0.5"),
    ],
)
def test_a_weight_that_is_none_is_told(weight: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words.replace("(", r"\(")):
        ab(weight, 1)


def test_a_weight_that_is_reckoned_is_kept_as_it_was_written() -> None:
    step = ab("1 + count('opened', 30 days)", 2)
    assert [arm["weight"] for arm in step.as_dict()["ab"]] == ["1 + count('opened', 30 days)", 2]
    assert step.captions() == ["weight 1 + count('opened', 30 days)", "weight 2"]
    assert step.asks_the_clock and not ab(1, 2).asks_the_clock


@given(
    weights=st.lists(st.lists(st.floats(0, 1e9), min_size=3, max_size=3), min_size=1, max_size=30),
    places=st.lists(st.floats(0, 1, exclude_max=True), min_size=30, max_size=30),
)
def test_each_contact_takes_the_arm_at_its_point(weights: list[list[float]], places: list[float]) -> None:
    points = np.array(places[: len(weights)])
    for arm, row, place in zip(dealt(points, np.array(weights)), weights, points, strict=True):
        own = row if sum(row) > 0 else [1.0] * 3
        assert own[arm] > 0 or sum(own[:arm]) > 0
        assert sum(own[:arm]) <= place * sum(own) * (1 + 1e-9)
        assert place * sum(own) <= sum(own[: arm + 1]) * (1 + 1e-9)
