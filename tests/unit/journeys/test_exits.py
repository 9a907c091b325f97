"""`goal` and `exit_when`: read with their problems, written as they were read, told in sentences, warned of."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.registry import STEP_TYPES
from caravan.errors import InvalidDefinition
from caravan.journeys.check import check_journey
from caravan.journeys.definition import as_dict, load_journey, read_journey
from caravan.journeys.event_rules import EventRule
from caravan.journeys.exits import MOST, NEVER, SENTENCE, ConditionRule, Exits
from caravan.journeys.model import Journey
from caravan.store.ledger import Outcome

STEPS = "steps:\n  - {id: a, wait: 1 day}\n"
RULES = """journey: 1
goal: {event: purchase, if: total > 100, match: order}
exit_when:
  - {event: unsubscribed}
  - {if: country = 'SE'}
"""


def read(source: str) -> Journey:
    return read_journey(source, STEP_TYPES)


def problems(source: str) -> list[str]:
    with pytest.raises(InvalidDefinition) as refused:
        read(source)
    return [str(each) for each in refused.value.problems]


def test_rules_are_read_in_the_order_in_which_they_count() -> None:
    exits = read(RULES + STEPS).exits
    goal = EventRule(event="purchase", condition="total > 100", match="order")
    unsubscribed, country = EventRule(event="unsubscribed"), ConditionRule(condition="country = 'SE'")
    assert exits == Exits(goal, (unsubscribed, country))
    assert exits.rules == ((Outcome.GOAL, goal), (Outcome.EXITED, unsubscribed), (Outcome.EXITED, country))
    assert exits.by_event == ((Outcome.GOAL, goal), (Outcome.EXITED, unsubscribed))
    assert exits.by_condition == ((Outcome.EXITED, country),)
    assert exits.events == {"purchase", "unsubscribed"}


def test_a_journey_without_rules_lets_nobody_go() -> None:
    for source in (STEPS, "goal:\nexit_when:\n" + STEPS):
        found = read("journey: 1\n" + source)
        assert found.exits == NEVER and not found.exits
        assert found.exits.sentences == [] and "goal" not in as_dict(found)


def test_each_rule_is_a_sentence() -> None:
    assert read(RULES + STEPS).exits.sentences == [
        "Contacts reach the goal and leave with the event purchase with their own order, if total > 100.",
        "Contacts leave with the event unsubscribed.",
        "Contacts leave once this is true of them: country = 'SE'.",
    ]


_EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["purchase", "a.b-c_1", "x" * 64])},
    optional={
        "if": st.sampled_from(["total > 1", "total > contact.least"]),
        "match": st.sampled_from(["order", "é 🌷"]),
    },
)
_CONDITIONS = st.fixed_dictionaries({"if": st.sampled_from(["country = 'SE'", "a is null or b > 2"])})
_RULES = st.one_of(_EVENTS, _CONDITIONS)


@given(st.none() | _RULES, st.lists(_RULES, max_size=4))
def test_what_is_written_is_read_again_as_the_same(goal: dict[str, str] | None, exits: list[dict[str, str]]) -> None:
    members = {} if goal is None else {"goal": goal}
    if exits:
        members |= {"exit_when": exits}  # type: ignore[dict-item]
    journey = read(json.dumps({"journey": 1, "steps": [{"id": "a", "wait": "1 day"}], **members}))
    written = as_dict(journey)
    assert {name: written[name] for name in ("goal", "exit_when") if name in written} == members
    assert load_journey(written, STEP_TYPES) == journey


@pytest.mark.parametrize(
    "rules, told",
    [
        ("goal: purchase", f"line 2: goal: {SENTENCE}"),
        ("goal: []", f"line 2: goal: {SENTENCE}"),
        ("goal: {match: order}", f"line 2: goal: {SENTENCE}"),
        ("goal: {event: 1st}", "line 2: goal.event: '1st' is no name of an event: a letter, then up to 63 letters"),
        ("goal: {event: a, if: 'total >'}", "line 2: goal.if: "),
        ("goal: {if: 'total >'}", "line 2: goal.if: "),
        ("goal: {event: a, match: ''}", "line 2: goal.match: a property's name has 1 to 256 characters"),
        ("goal: {event: a, to: b}", "line 2: goal.to: "),
        ("goal: {if: a > 1, match: b}", "line 2: goal.match: "),
        ("exit_when: {event: a}", "line 2: exit_when: exit_when is a list of 1 to 20 rules; "),
        ("exit_when: []", "line 2: exit_when: exit_when is a list of 1 to 20 rules; "),
        ("exit_when:\n  - {event: a}\n  - b", f"line 4: exit_when[1]: {SENTENCE}"),
        ("exit_when:\n  - event: a\n    if: ('", "line 4: exit_when[0].if: "),
        ("exit_when:\n" + "  - {event: a}\n" * (MOST + 1), "line 3: exit_when: exit_when is a list of 1 to 20 rules; "),
        ("exit_wen: [{event: a}]", "line 2: unknown key 'exit_wen'; did you mean 'exit_when'?"),
    ],
)
def test_a_mistake_is_told_with_its_line(rules: str, told: str) -> None:
    found = problems("journey: 1\n" + rules + "\n" + STEPS)
    assert [each.startswith(told) for each in found] == [True], found


def test_all_mistakes_are_told_at_once() -> None:
    found = problems("journey: 1\ngoal: x\nexit_when:\n  - {event: 1}\n  - {if: (}\nsteps:\n  - {id: a, wait: never}\n")
    assert [each.split(": ")[1] for each in found] == ["goal", "exit_when[0].event", "exit_when[1].if", "a.wait"]


def test_properties_that_conditions_ask_for_are_known_with_their_lines() -> None:
    check = check_journey(RULES + STEPS, STEP_TYPES)
    assert [(use.line, use.where, use.names) for use in check.uses] == [(5, "exit_when[1].if", ("country",))]


def test_a_condition_that_can_not_be_true_is_warned_of() -> None:
    found = check_journey('journey: 1\nexit_when:\n  - if: x = ("Sweden")\n' + STEPS, STEP_TYPES)
    assert found.problems == []
    assert [(each.line, each.where) for each in found.warnings] == [(3, "exit_when[0].if")]


@pytest.mark.parametrize(
    "rule, warned",
    [("{event: purchase}", True), ("{event: purchase, if: total > 1}", False), ("{event: opened}", False)],
)
def test_a_step_that_waits_in_vain_is_warned_of(rule: str, warned: bool) -> None:
    steps = "steps:\n  - {id: a, wait_for: {event: purchase, timeout: 1 day, then: b}}\n  - {id: b, exit: {}}\n"
    found = check_journey(f"journey: 1\ngoal: {rule}\n{steps}", STEP_TYPES)
    assert found.problems == []
    sentence = "whoever does purchase leaves the journey, so the step a waits for it in vain"
    assert [str(each) for each in found.warnings] == ([f"line 2: goal: {sentence}"] if warned else [])
