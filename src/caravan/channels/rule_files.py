"""Files of rules that an operator writes: read whole, each problem with its line."""

import difflib
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from caravan.errors import InvalidDefinition, InvalidSetting, Problem
from caravan.journeys.document import Mapping, Node, Scalar, Sequence, read_document

_UNITS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)/([a-z]+)")
_TIMES = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_TIME = re.compile(r"(\d{1,6})\s*([a-z]+)")
_SHOWN = 40


class RuleFile:
    """What was read of a file, and what is wrong in it."""

    def __init__(self, name: str, text: str) -> None:
        """Raises `InvalidSetting` if it can't be read at all."""
        self.name = name
        self.problems: list[Problem] = []
        try:
            document = read_document(text)
        except InvalidDefinition as error:
            raise InvalidSetting(_told(name, error.problems)) from None
        self.root = document.root
        self.problems += document.problems

    @classmethod
    def at(cls, path: Path) -> "RuleFile":
        """The file at a path. Raises `InvalidSetting`."""
        try:
            return cls(str(path), path.read_text("utf-8"))
        except OSError as error:
            raise InvalidSetting(f"The file {path} can't be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise InvalidSetting(f"The file {path} is not UTF-8.") from None

    def close(self) -> None:
        """Raise `InvalidSetting` that names each problem by its line, if there are any."""
        if self.problems:
            raise InvalidSetting(_told(self.name, sorted(self.problems, key=lambda each: each.line)))

    def wrong(self, line: int, message: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(line, "", message))

    def entries(self, node: Node, what: str) -> Iterator[tuple[str, int, Node]]:
        """The members of a mapping: name, line, node."""
        if not isinstance(node, Mapping):
            self.wrong(node.line, f"{what} should be names with values below them")
            return
        for name, each in node.entries.items():
            yield name, node.lines[name], each

    def members(self, node: Node, what: str, known: Collection[str]) -> dict[str, Node]:
        """The members of a mapping that are known; others are problems."""
        found = dict[str, Node]()
        for name, line, each in self.entries(node, what):
            if name in known:
                found[name] = each
            else:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
                self.wrong(line, f"{what} has no member {_shown(name)}; {hint}")
        return found

    def items(self, node: Node, what: str) -> list[Node]:
        """The items of a list."""
        if isinstance(node, Sequence):
            return node.items
        self.wrong(node.line, f"{what} should be a list")
        return []

    def text(self, node: Node, what: str) -> str | None:
        """A text."""
        if isinstance(node, Scalar) and not node.empty:
            return node.text
        self.wrong(node.line, f"{what} should be a text")
        return None

    def texts(self, node: Node, what: str) -> list[str]:
        """A list of texts."""
        return [text for each in self.items(node, what) if (text := self.text(each, what)) is not None]

    def number(self, node: Node, what: str) -> int | None:
        """A whole number over 0."""
        value: Any = node.value() if isinstance(node, Scalar) else None
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1_000_000:
            return value
        self.wrong(node.line, f"{what} should be a whole number over 0")
        return None

    def rate(self, node: Node, what: str) -> float | None:
        """A rate like 50/s, as messages a second."""
        found = _RATE.fullmatch(node.text) if isinstance(node, Scalar) else None
        if found is None or found[2] not in _UNITS or float(found[1]) == 0:
            self.wrong(node.line, f"{what} should be a rate like 50/s, 3000/min or 10/h")
            return None
        return float(found[1]) / _UNITS[found[2]]

    def seconds(self, node: Node, what: str) -> float | None:
        """A time like 90m, in seconds."""
        found = _TIME.fullmatch(node.text) if isinstance(node, Scalar) else None
        if found is None or found[2] not in _TIMES or int(found[1]) == 0:
            self.wrong(node.line, f"{what} should be a time like 30s, 90m, 2h or 1d")
            return None
        return float(int(found[1]) * _TIMES[found[2]])


def _told(name: str, problems: list[Problem]) -> str:
    where = "; ".join(f"line {each.line}: {each.message}" if each.line else each.message for each in problems)
    return f"{name} can't be used: {where}."


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
