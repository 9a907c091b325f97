"""A definition looked through whole: its problems, its warnings, and the properties that it asks contacts for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from caravan.errors import InvalidDefinition, Problem
from caravan.journeys import document
from caravan.journeys.definition import Reading, first_of
from caravan.journeys.document import Scalar, Sequence, read_document
from caravan.journeys.exits import ConditionRule, Rule
from caravan.journeys.fields import Language
from caravan.journeys.model import Journey, Step
from caravan.journeys.step_node import Path, StepNode, join
from caravan.journeys.step_texts import Names, StepText, names_and_warnings, template_fields, texts_of
from caravan.journeys.yaml_pitfalls import cut, json_scalars, misread, scalars


@dataclass(frozen=True, slots=True)
class Use:
    """A property that a step asks contacts for, and where it does."""

    line: int
    where: str
    names: Names
    language: Language


@dataclass(frozen=True, slots=True)
class Check:
    """What was found in a definition. A warning, other than a problem, does not keep it from being published. Among the
    uses are none of properties that a step of the journey makes."""

    journey: Journey | None  # None if there are problems
    problems: list[Problem]
    warnings: list[Problem]
    uses: list[Use]


def check_journey(source: str, step_types: Mapping[str, type[Step]]) -> Check:
    """Look through a definition in YAML or JSON; problems and warnings come by line."""
    try:
        reading = Reading(read_document(source), step_types)
        journey = reading.journey()
    except InvalidDefinition as error:
        return Check(None, error.problems, [], [])
    uses, warnings = _look_into_texts(reading)
    if not reading.problems:
        uses += _uses_of_exits(reading, journey)
        warnings += _about_exits(reading, journey)
    made = frozenset().union(*(step.makes for _, step in reading.read_steps))
    uses = [each for each in uses if each.names[0] not in made]
    warnings += [*reading.warnings, *_about_types(reading), *_about_comments(reading)]
    problems = sorted(first_of(reading.problems))
    return Check(None if problems else journey, problems, sorted(first_of(warnings)), uses)


def _look_into_texts(reading: Reading) -> tuple[list[Use], list[Problem]]:
    """What the segments and templates of the steps ask for, and warnings about them."""
    uses: list[Use] = []
    warnings: list[Problem] = []
    for node, step in reading.read_steps:
        for text in texts_of(step):
            names, messages = names_and_warnings(text)
            path = node.as_written(text.path)
            line, where = node.line_of(path), node.place(path)
            uses += [Use(line, where, each, text.language) for each in names]
            warnings += [Problem(line, where, each) for each in messages]
    return uses, warnings


def _rule_lines(reading: Reading, journey: Journey) -> Iterator[tuple[int, str, Rule]]:
    """Where each rule by which contacts leave the journey stands in the file."""
    root = reading.mapping()
    if journey.exits.goal is not None:
        yield root.lines["goal"], "goal", journey.exits.goal
    several = root.entries.get("exit_when")
    for index, rule in enumerate(journey.exits.exit_when):
        assert isinstance(several, Sequence)
        yield several.items[index].line, f"exit_when[{index}]", rule


def _uses_of_exits(reading: Reading, journey: Journey) -> Iterator[Use]:
    for line, where, rule in _rule_lines(reading, journey):
        if isinstance(rule, ConditionRule):
            names, _ = names_and_warnings(StepText((), Language.SEGMENT, rule.condition))
            yield from (Use(line, f"{where}.if", each, Language.SEGMENT) for each in names)


def _about_exits(reading: Reading, journey: Journey) -> Iterator[Problem]:
    """What a rule's condition warns of, and events that let everyone go whom a step waits to lead on by them."""
    waiting = {name: step.id for _, step in reading.read_steps for name in step.listens}
    for line, where, rule in _rule_lines(reading, journey):
        if isinstance(rule, ConditionRule):
            _, messages = names_and_warnings(StepText((), Language.SEGMENT, rule.condition))
            yield from (Problem(line, f"{where}.if", each) for each in messages)
        elif rule.event in waiting and rule.condition is None and rule.match is None:
            message = (
                f"whoever does {rule.event} leaves the journey, so the step {waiting[rule.event]} waits for it in vain"
            )
            yield Problem(line, where, message)


def _about_types(reading: Reading) -> Iterator[Problem]:
    """Texts in JSON values that other readers of YAML take for another type."""
    for node, step in reading.read_steps:
        for path, scalar in json_scalars(node, type(step)):
            if message := misread(scalar):
                yield Problem(scalar.line, node.place(path), message)


def _about_comments(reading: Reading) -> Iterator[Problem]:
    """Values that a comment cuts. In a template a # is more likely meant than in an id."""
    prose = {id(scalar) for node in reading.nodes for scalar in _in_templates(node, reading.step_types)}
    if isinstance(reading.root, document.Mapping):
        prose.add(id(reading.root.entries.get("name")))
    for path, scalar in scalars(reading.root):
        if message := cut(scalar, prose=id(scalar) in prose):
            yield Problem(scalar.line, _place(reading.root, path), message)


def _in_templates(node: StepNode, step_types: Mapping[str, type[Step]]) -> Iterator[Scalar]:
    """The values of a step that are templates, also if the step can't be used, which a cut may be the reason of."""
    for kind, step_type in step_types.items():
        for path in template_fields(step_type):
            if (found := node.at((kind, *path))) is not None:
                yield from (scalar for _, scalar in scalars(found))


def _place(root: document.Node, path: Path) -> str:
    """The place of a value in the file, by the id of its step if it is in one."""
    steps = root.entries.get("steps") if isinstance(root, document.Mapping) else None
    if isinstance(steps, Sequence) and path[:1] == ("steps",) and len(path) > 1 and isinstance(path[1], int):
        return StepNode(steps.items[path[1]], path[1]).place(path[2:])
    return join(path).lstrip(".")
