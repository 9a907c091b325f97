"""What is saved of an answer replaces properties of the same name, and touches no octet of the others."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.delivery.saved import with_saved
from caravan.steps.properties import merged

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=5)


@given(old=OBJECTS, new=OBJECTS, indent=st.sampled_from([None, 0, 2]))
def test_the_new_properties_are_there_and_all_others_are_what_they_were(
    old: dict[str, Any], new: dict[str, Any], indent: int | None
) -> None:
    assert json.loads(merged(json.dumps(old, indent=indent), new)) == {**old, **new}


@pytest.mark.parametrize("text", ["{}", " {\n} ", '{"a":1}', '{ "a" : [ 1 ] }', '{"a":1,"a":2}'])
def test_what_is_replaced_is_there_once(text: str) -> None:
    assert json.loads(merged(text, {"a": "x"}), object_pairs_hook=list) == [("a", "x")]


def test_numbers_keep_the_digits_that_they_were_written_with() -> None:
    digits = "9" * 5_000
    text = merged(f'{{"price": 1.50, "big": {digits}, "e": 1E400, "x": 1}}', {"x": 2})
    assert text == f'{{"price": 1.50, "big": {digits}, "e": 1E400, "x": 2}}'


def test_where_nothing_was_saved_the_contacts_are_the_very_same() -> None:
    contacts = pa.table({"line": [1, 2], "id": ["a", "b"], "properties": ['{"n":1}', "{}"]})
    assert with_saved(contacts, pa.table({"saved": pa.nulls(2, pa.string())})) is contacts
    changed = with_saved(contacts, pa.table({"saved": [None, '{"n": 5}']}))
    assert changed["properties"].to_pylist() == ['{"n":1}', '{"n": 5}']
    assert changed.schema == contacts.schema
