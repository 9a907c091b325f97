"""Problems of a step's fields as sentences, in the words of journey files instead of pydantic's."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, get_args

from caravan.journeys.model import Step
from caravan.journeys.model_part import DefinitionPart
from caravan.journeys.step_node import Path

#: Keys that stand beside the kind; those after the first two may also stand below it.
SHARED = ("id", "next", "on_unknown", "topic", "transactional", "send_window", "expires")


def unknown_key(key: str, good: Iterable[str]) -> str:
    names = list(good)
    close = nearest(key, names)
    hint = f"; did you mean '{close}'?" if close else "."
    return f"unknown key '{key}'{hint} The keys here are {', '.join(names)}"


def nearest(name: str, good: Iterable[str]) -> str | None:
    """The name that was probably meant: the one most like it, with no regard to case, `_`, `-` and blanks."""
    known = {_folded(each): each for each in good}
    close = get_close_matches(_folded(name), known, 1)
    return known[close[0]] if close else None


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.casefold())


def keys_of(part: type[DefinitionPart]) -> list[str]:
    shared = SHARED if issubclass(part, Step) else ()
    names = [field.alias or name for name, field in part.model_fields.items()]
    return [name for name in names if name not in shared]


def explain(error: Any, step_type: type[DefinitionPart]) -> tuple[Path, str]:
    """pydantic's error in our words, with the path to it."""
    path: Path = tuple(error["loc"])
    kind, message = error["type"], str(error["msg"])
    last = path[-1] if path else ""
    if kind == "extra_forbidden":
        return path, unknown_key(str(last), keys_of(_part_at(step_type, path[:-1])))
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


def _part_at(part: type[DefinitionPart], path: Path) -> type[DefinitionPart]:
    """The model that the keys at `path` belong to."""
    for piece in path:
        for name, field in part.model_fields.items():
            if piece in (name, field.alias):
                part = next(_parts_in(field.annotation), part)
    return part


def _parts_in(annotation: Any) -> Iterator[type[DefinitionPart]]:
    if isinstance(annotation, type) and issubclass(annotation, DefinitionPart):
        yield annotation
    for argument in get_args(annotation):
        yield from _parts_in(argument)
