"""When contacts leave a journey on their way: the members `exit_when` and `goal` of its file."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from pydantic import Field

from caravan.journeys.event_rules import EventRule
from caravan.journeys.fields import Condition
from caravan.journeys.model_part import DefinitionPart
from caravan.journeys.segments import Segment, compile_segment
from caravan.store.ledger import Outcome

MOST: Final = 20  # rules of one journey
SENTENCE: Final = "a rule is an event, {event: purchase}, or a condition, {if: country = 'SE'}"


class ConditionRule(DefinitionPart):
    """`{if: country = 'SE'}`: of whom this is true."""

    condition: Condition = Field(alias="if")


Rule = EventRule | ConditionRule


def rule_type(keys: Mapping[str, Any]) -> type[EventRule] | type[ConditionRule]:
    """What a rule with these keys is."""
    return EventRule if "event" in keys else ConditionRule


@dataclass(frozen=True)
class Exits:
    """The rules. Of several that let a contact go the goal counts, then the first."""

    goal: Rule | None = None
    exit_when: tuple[Rule, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rules)

    @cached_property
    def rules(self) -> tuple[tuple[Outcome, Rule], ...]:
        """Each with the outcome of those whom it lets go, in the order in which they count."""
        goals = () if self.goal is None else ((Outcome.GOAL, self.goal),)
        return (*goals, *((Outcome.EXITED, each) for each in self.exit_when))

    @cached_property
    def by_event(self) -> tuple[tuple[Outcome, EventRule], ...]:
        """Those about events."""
        return tuple((outcome, rule) for outcome, rule in self.rules if isinstance(rule, EventRule))

    @cached_property
    def by_condition(self) -> tuple[tuple[Outcome, ConditionRule], ...]:
        """Those about properties."""
        return tuple((outcome, rule) for outcome, rule in self.rules if isinstance(rule, ConditionRule))

    @cached_property
    def segments(self) -> list[Segment]:
        """The conditions of `by_condition`."""
        return [compile_segment(rule.condition) for _, rule in self.by_condition]

    @cached_property
    def events(self) -> frozenset[str]:
        """The names of the events that let contacts go."""
        return frozenset(rule.event for _, rule in self.by_event)

    @property
    def sentences(self) -> list[str]:
        """Each rule as its readers understand it."""
        return [
            f"Contacts {'reach the goal and leave' if outcome is Outcome.GOAL else 'leave'} {when(rule)}."
            for outcome, rule in self.rules
        ]

    def as_dict(self) -> dict[str, Any]:
        """The members as they stand in a file."""
        goal = {} if self.goal is None else {"goal": _written(self.goal)}
        return goal | ({"exit_when": [_written(each) for each in self.exit_when]} if self.exit_when else {})


NEVER: Final = Exits()


def _written(rule: Rule) -> dict[str, Any]:
    return rule.model_dump(mode="json", by_alias=True, exclude_unset=True)


def when(rule: Rule) -> str:
    """In words, when the rule lets a contact go."""
    if isinstance(rule, ConditionRule):
        return f"once this is true of them: {rule.condition}"
    same = "" if rule.match is None else f" with their own {rule.match}"
    condition = "" if rule.condition is None else f", if {rule.condition}"
    return f"with the event {rule.event}{same}{condition}"
