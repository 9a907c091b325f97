"""Journey files: read whole, so that every problem is told at once, each with its line."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError

from caravan.errors import InvalidDefinition, Problem
from caravan.journeys import document
from caravan.journeys.document import Node, Scalar, Sequence, read_document
from caravan.journeys.graph import check_ways
from caravan.journeys.model import Journey, Part, Step

KEYS = ("journey", "name", "steps")
MAX_JOURNEY = 2**63 - 1
MAX_NAME = 200
_SHARED = ("id", "next", "on_unknown")  # keys that stand beside the kind; on_unknown may also stand below it
_Path = tuple[str | int, ...]


def read_journey(source: str, step_types: Mapping[str, type[Step]]) -> Journey:
    """A journey from YAML or JSON text. Raises `InvalidDefinition` with all problems, sorted by line."""
    root, problems = read_document(source)
    if not isinstance(root, document.Mapping):
        raise InvalidDefinition(
            [Problem(root.line, "", f"a journey has the keys {', '.join(KEYS)}"), *problems]
        )
    reading = _Reading(step_types, problems)
    journey = reading.journey(root)
    if problems:
        raise InvalidDefinition(problems)
    return journey


def as_dict(journey: Journey) -> dict[str, Any]:
    """A JSON-able definition that `read_journey` accepts and that gives an equal journey."""
    return {
        "journey": journey.journey,
        "name": journey.name,
        "steps": [step.as_dict() for step in journey.steps],
    }


class _Reading:
    """One reading of one file: collects the problems on the way."""

    def __init__(self, step_types: Mapping[str, type[Step]], problems: list[Problem]) -> None:
        self.step_types = step_types
        self.problems = problems

    def note(self, line: int, where: str, message: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(line, where, message))

    def journey(self, root: document.Mapping) -> Journey:
        """The whole file; only to be used if no problem was noted."""
        for key in root.entries:
            if key not in KEYS:
                self.note(root.lines[key], "", _unknown_key(key, KEYS))
        number, name = self.number(root), self.name(root)
        steps = self.steps(root)
        return Journey(number, name or f"Journey {number}", steps)

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

    def steps(self, root: document.Mapping) -> tuple[Step, ...]:
        """The steps that can be used; the ways between them are checked only if all of them can."""
        node = root.entries.get("steps")
        if not isinstance(node, Sequence) or not node.items:
            self.note(node.line if node else root.line, "", "a journey needs steps: a list with at least one")
            return ()
        found: list[tuple[Step, _StepNode]] = []
        for index, item in enumerate(node.items):
            wrapped = _StepNode(item, index)
            step = self.step(wrapped)
            if step is not None:
                found.append((step, wrapped))
        self.check_ids(found)
        nodes = {id(step): wrapped for step, wrapped in found}
        for step, wrapped in found:
            for where, message in step.check():
                self.note_at(wrapped, _split(where), message)
        if len(found) == len(node.items):
            for step, where, message in check_ways([step for step, _ in found]):
                self.note_at(nodes[id(step)], _split(where), message)
        return tuple(step for step, _ in found)

    def note_at(self, node: "_StepNode", path: _Path, message: str) -> None:
        """Add a problem at a place in a step."""
        self.note(node.line_of(path), node.place(path), message)

    def check_ids(self, found: list[tuple[Step, "_StepNode"]]) -> None:
        """No two steps have one id."""
        lines: dict[str, int] = {}
        for step, node in found:
            if step.id in lines:
                first = lines[step.id]
                self.note_at(node, ("id",), f"the id '{step.id}' is taken by the step in line {first}")
            lines.setdefault(step.id, node.line_of(("id",)))

    def step(self, node: "_StepNode") -> Step | None:
        """One step, or None if it can't be used."""
        if not isinstance(node.root, document.Mapping):
            self.note_at(node, (), f"a step has an id and one of {', '.join(self.step_types)}")
            return None
        kind = self.kind(node, node.root)
        if kind is None:
            return None
        step_type = self.step_types[kind]
        before = len(self.problems)
        fields = self.fields(node, node.root, step_type)
        if fields is None or len(self.problems) > before:
            return None
        try:
            return step_type.model_validate(fields)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                path, message = _explain(each, step_type)
                self.note_at(node, _below_kind(path, step_type), message)
            return None

    def kind(self, node: "_StepNode", root: document.Mapping) -> str | None:
        """The step's type; unknown keys beside it are noted."""
        kinds = [key for key in root.entries if key in self.step_types]
        good = (*_SHARED, *self.step_types)
        for key in root.entries:
            if key not in good:
                self.note_at(node, (key,), _unknown_key(key, good))
        if len(kinds) == 1:
            return kinds[0]
        if kinds:
            self.note_at(node, (kinds[1],), f"a step does one thing, but this has {' and '.join(kinds)}")
        elif set(root.entries) <= set(_SHARED):
            self.note_at(node, (), f"the step does nothing; give it one of {', '.join(self.step_types)}")
        return None

    def fields(
        self, node: "_StepNode", root: document.Mapping, step_type: type[Step]
    ) -> dict[str, Any] | None:
        """What pydantic gets to see: the keys below the kind, and those beside it."""
        content, kind = root.entries[step_type.kind], step_type.kind
        fields: dict[str, Any]
        if step_type.sole:
            fields = {} if _empty(content) else {step_type.sole: _plain(content, typed=False)}
        elif isinstance(content, document.Mapping):
            fields = {
                key: _plain(value, typed=key in step_type.json_fields)
                for key, value in content.entries.items()
                if not _empty(value)
            }
        elif _empty(content):
            fields = {}
        else:
            self.note_at(node, (kind,), f"below {kind} stand the keys {', '.join(_keys_of(step_type))}")
            return None
        for key in ("id", "next"):
            if key in fields and not step_type.sole:
                self.note_at(node, (kind, key), f"'{key}' stands beside {kind}, not below it")
        for key in _SHARED:
            if key in root.entries and not _empty(root.entries[key]):
                if key in fields:
                    self.note_at(node, (key,), f"'{key}' stands here and below {kind}")
                fields[key] = _plain(root.entries[key], typed=False)
        return fields


class _StepNode:
    """One step in the file, to find lines in."""

    def __init__(self, root: Node, index: int) -> None:
        self.root = root
        self.index = index

    def place(self, path: _Path) -> str:
        """Like `vip_offer.email.to`; a step without an id is `steps[2]`."""
        id = self.root.entries.get("id") if isinstance(self.root, document.Mapping) else None
        text = id.text if isinstance(id, Scalar) and id.text else f"steps[{self.index}]"
        for piece in path:
            text += f"[{piece}]" if isinstance(piece, int) else f".{piece}"
        return text

    def line_of(self, path: _Path) -> int:
        """The line of what `path` leads to, or of the last thing on the way that there is."""
        node, line = self.root, self.root.line
        for piece in path:
            if isinstance(node, document.Mapping) and piece in node.entries:
                line = node.lines[str(piece)]
                node = node.entries[str(piece)]
            elif isinstance(node, Sequence) and isinstance(piece, int) and piece < len(node.items):
                node = node.items[piece]
                line = node.line
            else:
                break
        return line


def _empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.empty


def _plain(node: Node, typed: bool) -> Any:
    """The node as Python data; scalars are texts, unless `typed` asks for JSON's types."""
    if isinstance(node, Scalar):
        return node.value() if typed else node.text
    if isinstance(node, Sequence):
        return [_plain(each, typed) for each in node.items]
    kept = node.entries if typed else {key: each for key, each in node.entries.items() if not _empty(each)}
    return {key: _plain(each, typed) for key, each in kept.items()}


def _split(where: str) -> _Path:
    """`split[0].to` as ("split", 0, "to")."""
    pieces = re.findall(r"\[([0-9]+)\]|([^.\[\]]+)", where)
    return tuple(int(index) if index else name for index, name in pieces)


def _below_kind(path: _Path, step_type: type[Step]) -> _Path:
    if not path or path[0] in _SHARED:
        return path
    return (step_type.kind, *(path[1:] if path[0] == step_type.sole else path))


def _unknown_key(key: str, good: Iterable[str]) -> str:
    close = get_close_matches(key, good, 1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"unknown key '{key}'{hint} The keys here are {', '.join(good)}".replace("' The", "'. The")


def _keys_of(part: type[Part]) -> list[str]:
    shared = _SHARED if issubclass(part, Step) else ()
    names = [field.alias or name for name, field in part.model_fields.items()]
    return [name for name in names if name not in shared]


def _explain(error: Any, step_type: type[Step]) -> tuple[_Path, str]:
    """pydantic's error in our words, with the path to it."""
    path: _Path = tuple(error["loc"])
    kind, message = error["type"], str(error["msg"])
    last = path[-1] if path else ""
    if kind == "extra_forbidden":
        return path, _unknown_key(str(last), _keys_of(_part_at(step_type, path[:-1])))
    if kind == "missing":
        return path, f"'{last}' is missing"
    if kind == "string_type":
        return path, "this must be a text"
    if kind == "string_pattern_mismatch" and last == "id":
        return path, "an id is a word of at most 64 letters, digits, _ and -"
    if kind in ("list_type", "tuple_type"):
        return path, "this must be a list"
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return path, "this must have keys"
    return path, message.removeprefix("Value error, ")[:1].lower() + message.removeprefix("Value error, ")[1:]


def _part_at(part: type[Part], path: _Path) -> type[Part]:
    """The model that the keys at `path` belong to."""
    for piece in path:
        for name, field in part.model_fields.items():
            if piece in (name, field.alias):
                part = next(_parts_in(field.annotation), part)
    return part


def _parts_in(annotation: Any) -> Iterable[Any]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    for argument in get_args(annotation):
        yield from _parts_in(argument)
