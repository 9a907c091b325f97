"""The template that is learned from some rows vouches for all rows of their shape, and for no other."""

import json

import numpy as np
import pyarrow as pa
import pytest

from caravan.intake.strict import Accepted, classify
from caravan.intake.template import learn


def matched(learned_from: list[str], row: str) -> tuple[str, str] | None:
    """The id and properties that a template which was learned from some rows finds in another."""
    rows = [(line.encode(), classify(line.encode(), 10_000)) for line in learned_from]
    template = learn([(line, verdict) for line, verdict in rows if isinstance(verdict, Accepted)])
    if template is None:
        return None
    data = row.encode()
    found = template.match(memoryview(data), pa.array([row]), np.array([0]), np.array([len(data)]), np.array([True]))
    return (found.ids[0].as_py(), found.properties[0].as_py()) if len(found.rows) else None


def row(properties: object, id: object = "1") -> str:
    return json.dumps({"id": id, "properties": properties})


def test_a_row_of_the_shape_is_taken_as_it_stands() -> None:
    assert matched([row({"a": 1})], '{"id": "x y", "properties": { "a":\t"\\u00e9" }}') == (
        "x y",
        '{ "a":\t"\\u00e9" }',
    )


def test_members_that_are_sometimes_missing_may_be_missing() -> None:
    rows = [
        row({"a": 1, "c": 1}),
        row({"b": 1, "c": 1, "d": 1}),
        row({"a": 1, "b": 2, "c": 3, "e": 1}),
        row({"c": 1, "d": 1, "e": 1}),
    ]
    for text in ('{"c": 5}', '{"a": 1, "b": 2, "c": 5, "d": 6, "e": 7}', '{"b": 2, "c": 1, "e": 0}'):
        assert matched(rows, f'{{"id": "1", "properties": {text}}}') == ("1", text)


def test_nested_objects_and_arrays_belong_to_the_shape() -> None:
    rows = [row({"a": [{"x": 1}, {"x": 2}], "b": {"c": {}}}), row({"a": [], "b": {"c": {}}})]
    text = '{"a": [{"x": true}, 5, {"x": null}], "b": {"c": {}}}'
    assert matched(rows, f'{{"id": "1", "properties": {text}}}') == ("1", text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}', '{"b": 1, "a": 1}', '{"a": NaN, "b": 1}', '{"a": 1e999, "b": 1}', '{"a": 01, "b": 1}',
        '{"a": "\\u0000", "b": 1}', '{"a": "\\ud800", "b": 1}', '{"a": 1, "b": 1,}', '{"a": 1, "b": {}}',
        '{"a": "\t", "b": 1}',
    ],
)  # fmt: skip
def test_a_row_that_differs_from_the_shape_or_from_json_is_left_alone(text: str) -> None:
    assert matched([row({"a": 1, "b": 2})], f'{{"id": "1", "properties": {text}}}') is None


def test_rows_that_order_their_members_differently_have_no_template() -> None:
    assert matched([row({"a": 1, "b": 2}), row({"b": 1, "a": 2})], row({"a": 1, "b": 2})) is None


def test_a_template_of_integer_ids_takes_no_strings() -> None:
    assert matched([row({}, 1)], row({}, 77)) == ("77", "{}")
    assert matched([row({}, 1)], row({}, "77")) is None


def test_names_with_the_marks_of_patterns_are_taken_literally() -> None:
    odd = {"a.b*": 1, "(x|y)": 2, "$^[é]–😀": 3, 'q"\\': 4}
    text = json.dumps(odd, ensure_ascii=False)
    assert matched([row(odd)], f'{{"id": "1", "properties": {text}}}') == ("1", text)
    assert matched([row({"a.b": 1})], row({"axb": 1})) is None
