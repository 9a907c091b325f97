"""Merging what a step has learnt of a contact into its properties, the text of a JSON object."""

import json
from collections.abc import Iterator, Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, Final

# Numbers stay the text that they are: of what is not replaced, each octet is kept.
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_BLANKS: Final = " \t\n\r"


def merged(properties: str, new: Mapping[str, Any]) -> str:
    """`properties`, the text of a JSON object, with these members in place of those of the same name."""
    kept = [text for name, text in _members(properties) if name not in new]
    added = (f"{_json(name)}: {_json(value)}" for name, value in new.items())
    return "{" + ", ".join([*kept, *added]) + "}"


def _members(text: str) -> Iterator[tuple[str, str]]:
    """The members of an object: its name, and name and value as they are written."""
    at = _after_blanks(text, _after_blanks(text, 0) + 1)
    while text[at] != "}":
        if text[at] == ",":
            at = _after_blanks(text, at + 1)
        first = at
        name, at = scanstring(text, at + 1, False)
        _, at = _DECODER.raw_decode(text, _after_blanks(text, _after_blanks(text, at) + 1))
        yield name, text[first:at]
        at = _after_blanks(text, at)


def _after_blanks(text: str, at: int) -> int:
    while text[at] in _BLANKS:
        at += 1
    return at


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
