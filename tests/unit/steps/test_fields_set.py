"""The set step's field."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.registry import STEP_TYPES
from caravan.errors import InvalidDefinition
from caravan.journeys.check import check_journey
from caravan.journeys.definition import as_dict, load_journey, read_journey
from caravan.steps.set import Set
from caravan.store.cohorts import CONTACTS

NOW = datetime(2026, 1, 1, 9, tzinfo=UTC)


def changed(properties: dict[str, Any], *people: dict[str, Any] | str) -> list[dict[str, Any]]:
    """What becomes of the properties of these people."""
    step = Set.model_validate({"id": "s", "properties": properties})
    assert not list(step.check())
    texts = [each if isinstance(each, str) else json.dumps(each) for each in people]
    ids = [f"c{each}" for each in range(len(people))]
    table = step.changed(pa.table([range(len(people)), ids, texts], schema=CONTACTS), NOW)
    return [json.loads(each) for each in table["properties"].to_pylist()]


def test_values_keep_their_types_and_all_are_of_the_properties_before() -> None:
    given = {"score": 4, "tags": ["a"], "name": "Ann", "z": 1.50}
    new = {
        "score": "{{ score | plus: 1 }}", "old": "{{ score }}", "same": "{{ tags }}",
        "text": "{{ score | append: '' }}",
        "hello": "Dear {{ name }}", "vip": True, "level": 3, "none": None, "nothing": "{{ missing }}",
        "deep": {"a": ["{{ name | upcase }}", 1]}, "is": "{{ id }}", "year": "{{ 'now' | date: '%Y' }}",
    }  # fmt: skip
    assert changed(new, given) == [
        {
            **given, "score": 5, "old": 4, "same": ["a"], "text": "4", "hello": "Dear Ann", "vip": True, "level": 3,
            "none": None, "nothing": None, "deep": {"a": ["ANN", 1]}, "is": "c0", "year": "2026",
        }
    ]  # fmt: skip


def test_a_value_that_can_not_be_filled_in_leaves_its_contact_as_it_was() -> None:
    people = ({"n": 0}, {"n": 2}, {"n": "x" * 70_000})
    assert changed({"half": "{{ 1 | divided_by: n }}"}, *people)[:2] == [{"n": 0}, {"n": 2, "half": 0}]
    assert changed({"m": "{{ n }}"}, *people)[2] == people[2], "too long"


def test_the_text_of_other_properties_stays_as_it_is() -> None:
    step = Set.model_validate({"id": "s", "properties": {"a": 1}})
    text = '{"long": 12345678901234567890123, "price": 1.50, "a": 0, "é": "\\u00e9"}'
    table = step.changed(pa.table([[1], ["c"], [text]], schema=CONTACTS), NOW)
    assert table["properties"][0].as_py() == '{"long": 12345678901234567890123, "price": 1.50, "é": "\\u00e9", "a": 1}'


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
    )
)
def test_whatever_the_properties_are_only_those_that_are_set_change(properties: dict[str, Any]) -> None:
    found = changed({"x": "{{ id }}", "y": 1}, properties)
    assert found == [properties | {"x": "c0", "y": 1}]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", "s.set: 'properties' is missing"),
        ("{}", "s.set: below set stand properties with their values"),
        ("hello", "s.set: below set stand properties with their values"),
        ("{id: 1}", "s.set: 'id' can't be set"),
        ("{Contact: 1}", "s.set: 'Contact' can't be set"),
        ("{a: {b: '{{ c | nix }}'}}", "s.set.a.b: there is no filter nix"),
        ("{a: 1e999}", "s.set.a: the number 1e999 is too large"),
    ],
)
def test_each_mistake_is_told_with_its_place(written: str, told: str) -> None:
    with pytest.raises(InvalidDefinition) as error:
        read_journey(f"journey: 1\nsteps:\n- id: s\n  set: {written}\n", STEP_TYPES)
    assert any(str(each).startswith(f"line 4: {told}") for each in error.value.problems), error.value.problems


def test_it_is_written_as_it_was_read_and_makes_properties() -> None:
    source = """
journey: 1
steps:
  - id: s
    set: {score: "{{ score | plus: 1 }}", vip: true, n: 1.5, no: null}
    next: m
  - id: m
    split: [{if: vip and score > 3, to: s2}]
  - id: s2
    set: {word: yes}
"""
    journey = read_journey(source, STEP_TYPES)
    assert journey.steps[0].as_dict()["set"] == {"score": "{{ score | plus: 1 }}", "vip": True, "n": 1.5, "no": None}
    assert load_journey(as_dict(journey), STEP_TYPES) == journey
    assert journey.steps[0].summary == "score = {{ score | plus: 1 }}, vip = true, n = 1.5, no = null"
    check = check_journey(source, STEP_TYPES)
    assert [each.names for each in check.uses] == [], "the journey makes them all"
    assert [(each.line, each.where) for each in check.warnings] == [(10, "s2.set.word")]
