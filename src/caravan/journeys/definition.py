"""Journey files: read whole, so that every problem is told at once, each with its line."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from caravan.errors import InvalidDefinition, Problem
from caravan.journeys import document, exits
from caravan.journeys.document import Document, Node, Scalar, Sequence, read_document
from caravan.journeys.exits import Exits, Rule
from caravan.journeys.graph import check_edges
from caravan.journeys.model import Journey, Step
from caravan.journeys.reentry import ALWAYS, Reentry, read_reentry
from caravan.journeys.step_node import Path, StepNode, empty, join, plain, split
from caravan.journeys.wording import SHARED, explain, keys_of, unknown_key
from caravan.journeys.yaml_pitfalls import json_scalars, out_of_bounds

KEYS = ("journey", "name", "reentry", "goal", "exit_when", "steps")
MAX_JOURNEY = 2**63 - 1
MAX_NAME = 200
MAX_STEPS = 1_000
MAX_PROBLEMS = 1_000  # that are told


def read_journey(source: str, step_types: Mapping[str, type[Step]]) -> Journey:
    """A journey from YAML or JSON text. Raises `InvalidDefinition` with all problems, sorted by line."""
    reading = Reading(read_document(source), step_types)
    journey = reading.journey()
    if reading.problems:
        raise InvalidDefinition(first_of(reading.problems))
    return journey


def read_number(source: str) -> int:
    """The number of the journey in a definition, of which nothing else is checked. Raises `InvalidDefinition`."""
    reading = Reading(read_document(source), {})
    number = reading.number(reading.mapping())
    if reading.problems:
        raise InvalidDefinition(first_of(reading.problems))
    return number


def first_of(problems: list[Problem]) -> list[Problem]:
    """The first MAX_PROBLEMS by line, and a last one that counts the others."""
    if len(problems) <= MAX_PROBLEMS:
        return problems
    told = sorted(problems)[:MAX_PROBLEMS]
    return [*told, Problem(told[-1].line, "~", f"and {len(problems) - MAX_PROBLEMS} more from here on")]


def as_dict(journey: Journey) -> dict[str, Any]:
    """A JSON-able definition that `read_journey` accepts and that gives an equal journey."""
    return {
        "journey": journey.journey,
        "name": journey.name,
        **journey.rules_as_dict(),
        "steps": [step.as_dict() for step in journey.steps],
    }


def load_journey(definition: Mapping[str, Any], step_types: Mapping[str, type[Step]]) -> Journey:
    """A journey from what `as_dict` gave. Raises `InvalidDefinition`."""
    return read_journey(json.dumps(definition), step_types)


class Reading:
    """One reading of one file: collects problems on the way, and the steps that can be used, with their nodes."""

    def __init__(self, found: Document, step_types: Mapping[str, type[Step]]) -> None:
        self.root = found.root
        self.step_types = step_types
        self.problems = found.problems
        self.warnings = found.warnings
        self.nodes: list[StepNode] = []
        self.read_steps: list[tuple[StepNode, Step]] = []

    def note(self, line: int, where: str, message: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(line, where, message))

    def mapping(self) -> document.Mapping:
        """The keys of the file. Raises `InvalidDefinition` if it has none."""
        if isinstance(self.root, document.Mapping):
            return self.root
        message = f"a journey has the keys {', '.join(KEYS)}"
        raise InvalidDefinition([Problem(self.root.line, "", message), *self.problems])

    def journey(self) -> Journey:
        """The whole file; only to be used if no problem was noted. Raises `InvalidDefinition` if it is no journey."""
        root = self.mapping()
        for key in root.entries:
            if key not in KEYS:
                self.note(root.lines[key], "", unknown_key(key, KEYS))
        number, name = self.number(root), self.name(root)
        steps = self.steps(root)
        return Journey(number, name or f"Journey {number}", steps, self.reentry(root), self.exits(root))

    def number(self, root: document.Mapping) -> int:
        """The journey's number; 0 if it has none."""
        node = root.entries.get("journey")
        if node is None:
            self.note(root.line, "", "the journey's number is missing: journey: 4711")
            return 0
        text = node.text if isinstance(node, Scalar) else ""
        number = int(text) if re.fullmatch("[0-9]{1,19}", text) else 0
        if not 1 <= number <= MAX_JOURNEY:
            self.note(node.line, "journey", f"a journey's number is a whole number from 1 to {MAX_JOURNEY}")
        return number

    def name(self, root: document.Mapping) -> str:
        """The journey's name; empty if it has none."""
        node = root.entries.get("name")
        if node is None or (isinstance(node, Scalar) and node.empty):
            return ""
        if not isinstance(node, Scalar) or not node.text.isprintable() or not 1 <= len(node.text) <= MAX_NAME:
            self.note(node.line, "name", f"a name is one line of at most {MAX_NAME} characters")
            return ""
        return node.text

    def reentry(self, root: document.Mapping) -> Reentry:
        """Who may enter again."""
        node = root.entries.get("reentry")
        if node is None or empty(node):
            return ALWAYS
        try:
            return read_reentry(plain(node, typed=False))
        except ValueError as error:
            self.note(node.line, "reentry", str(error))
            return ALWAYS

    def exits(self, root: document.Mapping) -> Exits:
        """When contacts leave on their way."""
        goal, several = root.entries.get("goal"), root.entries.get("exit_when")
        found = None if goal is None or empty(goal) else self.exit_rule(goal, ("goal",))
        if several is None or empty(several):
            return Exits(found)
        if not isinstance(several, Sequence) or not 1 <= len(several.items) <= exits.MOST:
            self.note(several.line, "exit_when", f"exit_when is a list of 1 to {exits.MOST} rules; {exits.SENTENCE}")
            return Exits(found)
        rules = [self.exit_rule(each, ("exit_when", index)) for index, each in enumerate(several.items)]
        return Exits(found, tuple(each for each in rules if each is not None))

    def exit_rule(self, node: Node, path: Path) -> Rule | None:
        """One of the rules, or None if it can't be used."""
        if not isinstance(node, document.Mapping) or not {"event", "if"} & set(node.entries):
            self.note(node.line, join(path).lstrip("."), exits.SENTENCE)
            return None
        rule_type = exits.rule_type(node.entries)
        try:
            return rule_type.model_validate(plain(node, typed=False))
        except ValidationError as error:
            for each in error.errors(include_url=False):
                where, message = explain(each, rule_type)
                line = node.lines.get(str(where[0]), node.line) if where else node.line
                self.note(line, join((*path, *where)).lstrip("."), message)
            return None

    def steps(self, root: document.Mapping) -> tuple[Step, ...]:
        """The steps, with a stand-in for each that can't be used, so that the edges can still be checked."""
        node = root.entries.get("steps")
        if not isinstance(node, Sequence) or not node.items:
            self.note(node.line if node else root.line, "", "a journey needs steps: a list with at least one")
            return ()
        if len(node.items) > MAX_STEPS:
            self.note(node.line, "", f"a journey has at most {MAX_STEPS} steps")
            return ()
        self.nodes = nodes = [StepNode(item, index) for index, item in enumerate(node.items)]
        read = [self.step(each) for each in nodes]
        self.read_steps = [(node, step) for node, step in zip(nodes, read, strict=True) if step is not None]
        steps = [step or node.stand_in(self.step_types) for node, step in zip(nodes, read, strict=True)]
        self.check_ids(steps, nodes)
        for step, each in zip(steps, nodes, strict=True):
            for where, message in step.check():
                self.note_at(each, split(where), message)
        for index, where, message in check_edges(steps):
            self.note_at(nodes[index], split(where), message)
        return tuple(steps)

    def note_at(self, node: StepNode, path: Path, message: str) -> None:
        """Add a problem at a place in a step."""
        self.note(node.line_of(path), node.place(path), message)

    def check_ids(self, steps: list[Step], nodes: list[StepNode]) -> None:
        """No two steps have one id."""
        lines: dict[str, int] = {}
        for step, node in zip(steps, nodes, strict=True):
            line = node.line_of(("id",))
            if step.id and step.id in lines:
                self.note(line, node.place(("id",)), f"the id is taken by the step in line {lines[step.id]}")
            lines.setdefault(step.id, line)

    def step(self, node: StepNode) -> Step | None:
        """One step, or None if it can't be used."""
        if not isinstance(node.root, document.Mapping):
            self.note_at(node, (), f"a step has an id and one of {', '.join(self.step_types)}")
            return None
        kind = self.kind(node, node.root)
        if kind is None:
            return None
        step_type = self.step_types[kind]
        before = len(self.problems)
        for path, scalar in json_scalars(node, step_type):
            if message := out_of_bounds(scalar):
                self.note_at(node, path, message)
        fields = self.fields(node, node.root, step_type)
        if fields is None or len(self.problems) > before:
            return None
        try:
            return step_type.model_validate(fields)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                path, message = explain(each, step_type)
                self.note_at(node, _below_kind(path, step_type), message)
            return None

    def kind(self, node: StepNode, root: document.Mapping) -> str | None:
        """The step's type; unknown keys beside it are noted."""
        kinds = [key for key in root.entries if key in self.step_types]
        good = (*SHARED, *self.step_types)
        for key in root.entries:
            if key not in good:
                self.note_at(node, (key,), unknown_key(key, good))
        if len(kinds) == 1:
            return kinds[0]
        if kinds:
            self.note_at(node, (kinds[1],), f"a step does one thing, but this has {' and '.join(kinds)}")
        elif set(root.entries) <= set(SHARED):
            self.note_at(node, (), f"the step does nothing; give it one of {', '.join(self.step_types)}")
        return None

    def fields(self, node: StepNode, root: document.Mapping, step_type: type[Step]) -> dict[str, Any] | None:
        """What pydantic gets to see: the keys below the kind, and those beside it."""
        content, kind = root.entries[step_type.kind], step_type.kind
        fields: dict[str, Any]
        if step_type.sole:
            typed = step_type.sole in step_type.json_fields
            fields = {} if empty(content) else {step_type.sole: plain(content, typed=typed)}
        elif isinstance(content, document.Mapping):
            fields = {
                key: plain(value, typed=key in step_type.json_fields)
                for key, value in content.entries.items()
                if not empty(value)
            }
        elif empty(content):
            fields = {}
        else:
            self.note_at(node, (kind,), f"below {kind} stand the keys {', '.join(keys_of(step_type))}")
            return None
        for key in ("id", "next"):
            if key in fields and not step_type.sole:
                self.note_at(node, (kind, key), f"'{key}' stands beside {kind}, not below it")
        for key in SHARED:
            if key in root.entries and not empty(root.entries[key]):
                if key in fields:
                    self.note_at(node, (key,), f"'{key}' stands here and below {kind}")
                fields[key] = plain(root.entries[key], typed=False)
        return fields


def _below_kind(path: Path, step_type: type[Step]) -> Path:
    if not path or path[0] in SHARED:
        return path
    return (step_type.kind, *(path[1:] if path[0] == step_type.sole else path))
