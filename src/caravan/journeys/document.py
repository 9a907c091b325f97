"""YAML or JSON as nodes that know their lines. Nothing is interpreted: a scalar is its text, as it was written.

YAML 1.1 would turn `no` into false, `09:00` into 540 and `1_000` into 1000, so types are given later, by what a
field wants. Reading is iterative, and aliases are refused, so that no file can exhaust the machine.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]  # public in fact, missing in typeshed
from typing import Any

import yaml

from caravan.errors import InvalidDefinition, Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_COMMENT = re.compile(r"[ \t]+(#[^\r\n\x85\u2028\u2029]*)")
_BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(slots=True)
class Scalar:
    """A text. `quoted` tells '1' from 1; `comment` is what follows on the same line, from its # on."""

    text: str
    quoted: bool
    line: int
    comment: str = ""

    @property
    def empty(self) -> bool:
        """Whether it says that there is nothing."""
        return not self.quoted and self.text in ("", "~", "null", "Null", "NULL")

    def value(self) -> Any:
        """What JSON would understand: null, true, false, a number or a text."""
        if self.quoted:
            return self.text
        if self.empty or self.text in ("true", "false"):
            return {"true": True, "false": False}.get(self.text)
        return json.loads(self.text) if _NUMBER.fullmatch(self.text) and len(self.text) <= 300 else self.text

    @property
    def is_long_number(self) -> bool:
        """Whether it is a number that is too long to be read as one."""
        return not self.quoted and len(self.text) > 300 and _NUMBER.fullmatch(self.text) is not None


@dataclass(slots=True)
class Sequence:
    """A list."""

    line: int
    items: list["Node"] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Keys with their nodes, and the keys' lines."""

    line: int
    entries: dict[str, "Node"] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping
# What it is: "scalar", "mapping", "sequence", "end", "problem" or "warning"; its line; a scalar's text, whether it is
# quoted and its comment, or a message.
_Event = tuple[str, int, Any]


@dataclass(slots=True)
class Document:
    """The nodes of a file, problems that leave it readable (keys that stand twice, aliases), and warnings."""

    root: Node
    problems: list[Problem]
    warnings: list[Problem]


def read_document(source: str) -> Document:
    """The nodes of a file. Raises `InvalidDefinition` if it can't be read at all."""
    if len(source) > MAX_BYTES or len(source.encode(errors="replace")) > MAX_BYTES:
        _fail(0, f"the file is larger than {MAX_BYTES >> 20} MiB")
    source = source.removeprefix("\ufeff")
    if source.lstrip(" \t\r\n").startswith("{"):
        try:
            return _build(_json_events(source))
        except (ValueError, IndexError):
            pass  # YAML's own braces, or a mistake that YAML's reader will tell
    return _build(_yaml_events(source))


def is_json(source: str) -> bool:
    """Whether a text is JSON, which has no comments, and no form that is worth keeping beside its content."""
    try:
        json.loads(source.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return False
    return True


def _fail(line: int, message: str) -> None:
    raise InvalidDefinition([Problem(line, "", message)])


def _build(events: Iterator[_Event]) -> Document:
    problems: list[Problem] = []
    warnings: list[Problem] = []
    top = Sequence(0)
    stack: list[tuple[Node, Scalar | None]] = [(top, None)]
    for kind, line, content in events:
        if kind in ("problem", "warning"):
            (problems if kind == "problem" else warnings).append(Problem(line, "", content))
            continue
        if kind == "end":
            stack.pop()
            continue
        node = _node(kind, line, content)
        parent, key = stack[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif isinstance(parent, Mapping) and key is None:
            stack[-1] = (parent, _as_key(node, problems))
        elif isinstance(parent, Mapping) and key is not None:
            _add(parent, key, node, problems)
            stack[-1] = (parent, None)
        if not isinstance(node, Scalar):
            stack.append((node, None))
            if len(stack) > MAX_DEPTH + 1:
                _fail(line, f"the file is nested deeper than {MAX_DEPTH} levels")
    if not top.items:
        _fail(0, "the file is empty; a journey has the keys journey, name and steps")
    return Document(top.items[0], problems, warnings)


def _node(kind: str, line: int, content: Any) -> Node:
    if kind == "scalar":
        return Scalar(content[0], content[1], line, content[2])
    return Mapping(line) if kind == "mapping" else Sequence(line)


def _as_key(node: Node, problems: list[Problem]) -> Scalar:
    if isinstance(node, Scalar):
        return node
    hint = '; a text that begins with {{ stands in quotes: "{{ city }}"' if isinstance(node, Mapping) else ""
    problems.append(Problem(node.line, "", "a key must be a word" + hint))
    return Scalar("", True, node.line)


def _add(parent: Mapping, key: Scalar, node: Node, problems: list[Problem]) -> None:
    if key.text in parent.entries:
        first = parent.lines[key.text]
        problems.append(Problem(key.line, "", f"the key '{key.text}' stands here twice (first in line {first})"))
        return
    parent.entries[key.text] = node
    parent.lines[key.text] = key.line


def _yaml_events(source: str) -> Iterator[_Event]:
    documents = 0
    try:
        for event in yaml.parse(source, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    _fail(line, "the file holds several documents; one file is one journey")
            else:
                yield from _yaml_event(event, line, source)
    except yaml.YAMLError as error:
        _fail(*_yaml_error(error, source))
    except UnicodeEncodeError:
        _fail(0, "the file is not valid UTF-8")


def _yaml_event(event: yaml.Event, line: int, source: str) -> Iterator[_Event]:
    tag, anchor = getattr(event, "tag", None), getattr(event, "anchor", None)
    if tag is not None and tag != "!":
        yield "problem", line, f"the tag {tag} can't be used in a journey; a text that begins with ! stands in quotes"
    if isinstance(event, yaml.AliasEvent):
        wanted = "write out what it stands for, and a text that begins with * in quotes"
        yield "problem", line, f"the alias *{anchor} can't be used in a journey; {wanted}"
        yield "scalar", line, ("", False, "")
    elif anchor is not None:
        yield (
            "warning",
            line,
            f"YAML takes &{anchor} for an anchor and leaves it out; a text that begins with & stands in quotes",
        )
    if isinstance(event, yaml.ScalarEvent):
        yield "scalar", line, (event.value, bool(event.style), "" if event.style else _comment(event, source))
    elif isinstance(event, yaml.MappingStartEvent):
        yield "mapping", line, None
    elif isinstance(event, yaml.SequenceStartEvent):
        yield "sequence", line, None
    elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
        yield "end", line, None


def _comment(event: yaml.Event, source: str) -> str:
    """The comment behind a plain scalar, on the line where it ends."""
    found = _COMMENT.match(source, event.end_mark.index) if event.end_mark else None
    return found[1] if found else ""


def _yaml_error(error: yaml.YAMLError, source: str) -> tuple[int, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    position = getattr(error, "position", None)
    if mark is not None:
        what = getattr(error, "problem", None) or getattr(error, "context", None)
        line = "".join(source.splitlines()[mark.line : mark.line + 1])
        return mark.line + 1, f"this is not valid YAML: {what} (column {mark.column + 1}){_hint(line, str(what))}"
    line_number = source.count("\n", 0, position) + 1 if isinstance(position, int) else 0
    return line_number, "the file contains a character that YAML does not allow"


def _hint(line: str, problem: str) -> str:
    """What to add to a problem of YAML's reader, seen the line where it stopped."""
    if re.search(r"(^|[:\[{,-])\s*\{[{%]", line):
        return "; a text that begins with {{ or {% stands in quotes"
    if "mapping values" in problem:
        return "; a text that contains a colon and a blank stands in quotes"
    if found := re.search(r"(?:^\s*|: +|- +)([-%@`*&!|>?,\[\]{}\"'])", line):
        return f"; a text that begins with {found[1]} stands in quotes as a whole"
    return ""


def _json_events(source: str) -> Iterator[_Event]:
    """The tokens of strict JSON. Raises ValueError or IndexError where it is none."""
    position, line, expect = 0, 1, "value"
    open_brackets: list[str] = []
    while True:
        after = _skip(source, position)
        line += source.count("\n", position, after)
        position = after
        if expect == "comma" and not open_brackets:
            if position != len(source):
                raise ValueError("more than one value")
            return
        event, position, expect = _json_token(source, position, expect, open_brackets)
        if event is not None:
            yield event[0], line, event[1]


def _skip(source: str, position: int) -> int:
    match = _BLANK.match(source, position)
    return match.end() if match else position


def _json_token(
    source: str, position: int, expect: str, open_brackets: list[str]
) -> tuple[tuple[str, Any] | None, int, str]:
    """One token: its event, where the next one starts, and what it may be."""
    letter = source[position]
    if expect in ("comma", "first", "first key") and open_brackets and letter == open_brackets[-1]:
        open_brackets.pop()
        return ("end", None), position + 1, "comma"
    if expect == "comma" and letter == ",":
        return None, position + 1, "key" if open_brackets[-1] == "}" else "value"
    if expect == "colon" and letter == ":":
        return None, position + 1, "value"
    if expect in ("comma", "colon"):
        raise ValueError(f"unexpected {letter}")
    if letter == '"':
        text, end = scanstring(source, position + 1, True)
        return ("scalar", (text, True, "")), end, "colon" if "key" in expect else "comma"
    if "key" in expect:
        raise ValueError("a key is a text")
    if letter in "{[":
        open_brackets.append("}" if letter == "{" else "]")
        kind = "mapping" if letter == "{" else "sequence"
        return (kind, None), position + 1, "first key" if letter == "{" else "first"
    word = re.compile(r"true|false|null|" + _NUMBER.pattern).match(source, position)
    if word is None:
        raise ValueError(f"unexpected {letter}")
    return ("scalar", (word[0], False, "")), word.end(), "comma"
