"""The tree of errors."""

import inspect

from caravan import errors
from caravan.errors import CaravanError, InvalidDefinition, Problem


def _kinds() -> list[type[CaravanError]]:
    return [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, CaravanError)]


def test_the_tree_at_the_top_shows_every_error() -> None:
    assert errors.__doc__ is not None
    for kind in _kinds():
        assert kind.__name__ in errors.__doc__, kind


def test_an_error_without_a_message_says_its_first_line() -> None:
    assert errors.NotFound().message == "There is no such thing here."
    assert errors.NotFound("other").message == "other"


def test_a_definition_tells_its_problems_in_the_order_of_their_lines() -> None:
    error = InvalidDefinition([Problem(9, "b", "late"), Problem(2, "a", "early")])
    assert error.message == "The journey has 2 problems: line 2: a: early; line 9: b: late"
    assert InvalidDefinition([Problem(0, "", "no place")]).message == "The journey has 1 problem: no place"
