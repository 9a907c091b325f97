"""What a webhook keeps of an answer: values found by JSONPath (RFC 9535), which become properties of the contact."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import jsonpath
from jsonpath.segments import JSONPathRecursiveDescentSegment
from jsonpath.selectors import IndexSelector, NameSelector, SliceSelector, WildcardSelector

LONGEST_ANSWER: Final = 64 << 10  # octets of an answer in which values are looked for
_LONGEST_PATH: Final = 500  # characters
_SELECTORS: Final = (NameSelector, IndexSelector, SliceSelector, WildcardSelector)


class NothingSaved(Exception):
    """Nothing can be kept of this answer."""


def check_path(text: str) -> str:
    """The path itself. Raises ValueError if it can't be used.

    A path works no more than a few times as long as the answer is: it has no filters, and looks at all levels once.
    """
    if len(text) > _LONGEST_PATH:
        raise ValueError(f"the path is longer than {_LONGEST_PATH} characters")
    try:
        path = jsonpath.compile(text, strict=True)
    except jsonpath.JSONPathError:
        raise ValueError(f"'{text}' is no JSONPath like $.score or $.items[0].name") from None
    segments = getattr(path, "segments", ())
    if sum(isinstance(each, JSONPathRecursiveDescentSegment) for each in segments) > 1:
        raise ValueError("a path has .. once at most")
    if any(len(each.selectors) != 1 or not isinstance(each.selectors[0], _SELECTORS) for each in segments):
        raise ValueError("a path here consists of names, indexes, slices, * and .., without filters")
    return text


def check_name(name: str) -> str:
    """A property's name. Raises ValueError if it can't be one."""
    if not name.strip() or len(name) > 256:
        raise ValueError("a property's name has 1 to 256 characters")
    return name


@dataclass(frozen=True)
class Saver:
    """Finds what is to be kept: {property: path}, each checked."""

    paths: Mapping[str, str]

    def found(self, answer: bytes) -> dict[str, Any]:
        """The properties that this answer gives; of a path that finds nothing, none. Raises `NothingSaved`."""
        if len(answer) > LONGEST_ANSWER:
            raise NothingSaved(f"the answer is longer than {LONGEST_ANSWER >> 10} KiB")
        try:
            value = json.loads(answer, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise NothingSaved("the answer is no JSON") from None
        try:
            return {name: found for name, path in self._compiled.items() if (found := _look(path, value)) is not _NONE}
        except (jsonpath.JSONPathError, RecursionError):
            raise NothingSaved("the answer is nested too deeply") from None

    @cached_property
    def _compiled(self) -> dict[str, jsonpath.JSONPath | jsonpath.CompoundJSONPath]:
        return {name: jsonpath.compile(path, strict=True) for name, path in self.paths.items()}


_NONE: Final = object()


def _look(path: jsonpath.JSONPath | jsonpath.CompoundJSONPath, value: Any) -> Any:
    """The value at a path that leads to one place, a list of all else; _NONE for nothing."""
    found = path.findall(value)
    if isinstance(path, jsonpath.JSONPath) and path.singular_query():
        return found[0] if found else _NONE
    return found or _NONE


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
