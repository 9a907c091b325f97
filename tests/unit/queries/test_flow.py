"""How many went each way of a journey: only what the ledger says."""

from typing import Any

from caravan.channels.registry import STEP_TYPES
from caravan.journeys.definition import load_journey
from caravan.journeys.model import Journey
from caravan.queries.flow import flow
from caravan.store.ledger import Ledger, StepCounts


def journey(*steps: dict[str, Any]) -> Journey:
    return load_journey({"journey": 1, "name": "Any", "steps": list(steps)}, STEP_TYPES)


def counts(step: str, arrived: int, standing: int = 0, **outcomes: int) -> StepCounts:
    return StepCounts(step, arrived, standing, outcomes)


def wait(id: str, next: str | None = None) -> dict[str, Any]:
    return {"id": id, "wait": "1 day"} | ({"next": next} if next else {})


SPLIT = {"id": "sort", "split": [{"if": "a = 1", "to": "one"}, {"if": "a = 2", "to": "two"}, {"else": "end"}]}


def test_who_left_a_step_with_one_way_went_that_way_but_for_the_cancelled() -> None:
    ledger = Ledger(entered=10, steps=[counts("a", 10, 2, passed=5, cancelled=3), counts("b", 5, 5)])
    assert flow(journey(wait("a", "b"), wait("b")), ledger) == {("a", 0): 5}


def test_the_ways_of_a_split_are_told_by_who_arrived_behind_them() -> None:
    ledger = Ledger(
        entered=10,
        steps=[counts("sort", 10, passed=10), counts("one", 3, 1, passed=2), counts("two", 4, 4), counts("end", 5, 5)],
    )
    found = flow(journey(SPLIT, wait("one", "end"), wait("two", "end"), wait("end")), ledger)
    assert found == {("sort", 0): 3, ("sort", 1): 4, ("sort", 2): 3, ("one", 0): 2, ("two", 0): 0}


def test_two_ways_to_one_step_are_not_told_apart() -> None:
    split = {"id": "sort", "split": [{"if": "a = 1", "to": "one"}, {"if": "a = 2", "to": "one"}]}
    ledger = Ledger(entered=10, steps=[counts("sort", 10, passed=10), counts("one", 7, 7)])
    assert flow(journey(split, wait("one")), ledger) == {}


def test_who_comes_back_to_the_entry_is_told_from_who_entered() -> None:
    split = {"id": "again", "split": [{"if": "a = 1", "to": "first"}]}
    ledger = Ledger(entered=10, steps=[counts("first", 16, 4, passed=12), counts("again", 12, passed=12)])
    assert flow(journey(wait("first", "again"), split), ledger) == {("first", 0): 12, ("again", 0): 6}


def test_numbers_that_contradict_each_other_tell_nothing() -> None:
    ledger = Ledger(entered=10, steps=[counts("first", 4, passed=4), counts("again", 4, passed=4)])
    split = {"id": "again", "split": [{"if": "a = 1", "to": "first"}]}
    assert flow(journey(wait("first", "again"), split), ledger) == {}


def test_nobody_has_gone_any_way_before_anyone_entered() -> None:
    assert flow(journey(wait("a", "b"), wait("b")), Ledger()) == {("a", 0): 0}
