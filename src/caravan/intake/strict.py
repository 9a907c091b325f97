"""The reference reading of one row: slow, plain, and right by definition. docs/contacts-file.md says it for users.

What reads rows faster (template.py, parse.py) may accept only what this accepts, with the same id and equal
properties; everything that it can't vouch for comes here.
"""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import NoReturn

from caravan.intake.faults import explain
from caravan.intake.rejects import RejectCode

ID_LENGTH = 256  # characters
DEPTH = 64  # objects and arrays inside each other, the row itself counted
DIGITS = 300  # of an integer; the largest finite double has 309

SPACE = " \t\r"
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|$)')
_NOT_A_BRACKET = re.compile(r"[^\[\]{}]++")
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LONG = re.compile(rf"[0-9]{{{DIGITS + 1}}}")
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*+\\u0000")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A row that becomes a contact."""

    id: str
    properties: str  # the text of a JSON object, without duplicate members


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that becomes a reject."""

    code: RejectCode
    message: str


@dataclass(frozen=True, slots=True)
class Blank:
    """A row of nothing but spaces, tabs and carriage returns."""


Verdict = Accepted | Refused | Blank


def classify(line: bytes, row_bytes: int) -> Verdict:
    """What becomes of one line, given without its newline; `row_bytes` is the longest that is taken."""
    try:
        return _read(line, row_bytes)
    except _Refusal as refusal:
        return Refused(refusal.code, refusal.message)


class _Refusal(Exception):
    """A row can't be used."""

    def __init__(self, code: RejectCode, message: str) -> None:
        self.code, self.message = code, message


class _Members(dict[str, object]):
    """A JSON object; the last of equal names wins, and `twice` remembers them."""

    twice: frozenset[str] = frozenset()


def _read(line: bytes, row_bytes: int) -> Verdict:
    if len(line) > row_bytes:
        raise _Refusal(RejectCode.TOO_LONG, f"The row is longer than {row_bytes} bytes.")
    whole = _decode(line)
    text = whole.strip(SPACE)
    if not text:
        return Blank()
    row = _parse(text, whole.find(text[0]))
    return Accepted(_id(row), _properties(row))


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"The row is not UTF-8: byte {error.start + 1} of it can't be read."
        raise _Refusal(RejectCode.NOT_UTF8, message) from None


def _parse(text: str, before: int) -> _Members:
    _check_depth(text)
    try:
        row = (_LONG_DECODER if len(text) > DIGITS and _LONG.search(text) else _DECODER).decode(text)
    except json.JSONDecodeError as error:
        raise _Refusal(RejectCode.NOT_JSON, f"The row is not JSON: {explain(error, before)}.") from None
    if "\\u" in text:
        _check_surrogates(row)
    if not isinstance(row, _Members):
        raise _Refusal(RejectCode.NOT_OBJECT, f"The row is {_kind(row)}, not an object.")
    for name in sorted(row.twice & {"id", "properties"}):
        raise _Refusal(RejectCode.NOT_JSON, f"The row has the member '{name}' twice.")
    return row


def _check_depth(text: str) -> None:
    # Before parsing, because parsers that recurse fail in their own ways on 10,000 brackets.
    if text.count("{") + text.count("[") <= DEPTH:
        return
    brackets = _NOT_A_BRACKET.sub("", _STRING.sub("", text))
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEPTH:
        code = RejectCode.BAD_PROPERTIES if text[0] == "{" else RejectCode.NOT_OBJECT
        raise _Refusal(code, f"The row nests objects and arrays deeper than {DEPTH} levels.")


def _members(pairs: list[tuple[str, object]]) -> _Members:
    members = _Members(pairs)
    if len(members) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        members.twice = frozenset(name for name, count in counts.items() if count > 1)
    return members


def _no_constant(name: str) -> NoReturn:
    raise _Refusal(RejectCode.NOT_JSON, f"The row is not JSON: {name} is not a JSON number.")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits.lstrip("-")) <= DIGITS else math.inf


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant)
# Asking back for each integer costs as much as all the rest, so only rows with long ones do.
_LONG_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant, parse_int=_integer)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _check_surrogates(row: object) -> None:
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        message = "The row is not JSON: it has half of a surrogate pair, which is no character."
        raise _Refusal(RejectCode.NOT_JSON, message) from None


def _id(row: _Members) -> str:
    value = row.get("id")
    if value is None:
        raise _Refusal(RejectCode.MISSING_ID, "The row has no id.")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    elif not isinstance(value, str):
        message = f"The id must be a string or an integer, not {_kind(value)}."
        raise _Refusal(RejectCode.BAD_ID, message)
    if problem := _id_problem(value):
        raise _Refusal(RejectCode.BAD_ID, problem)
    return value


def _id_problem(value: str) -> str | None:
    if not value or value.isspace():
        return "The id is empty." if not value else "The id is only white space."
    if len(value) > ID_LENGTH:
        return f"The id is longer than {ID_LENGTH} characters."
    if _CONTROL.search(value):
        return "The id has a control character."
    return None


def _properties(row: _Members) -> str:
    value = row.get("properties")
    if value is None:
        return "{}"
    if not isinstance(value, _Members):
        message = f"The properties must be an object, not {_kind(value)}."
        raise _Refusal(RejectCode.BAD_PROPERTIES, message)
    try:
        text = _ENCODER.encode(value)
    except ValueError:
        message = "The properties have a number that is too large."
        raise _Refusal(RejectCode.BAD_PROPERTIES, message) from None
    if "\\u0000" in text and _ESCAPED_NUL.search(text):
        message = "The properties have a NUL character, which databases can't hold."
        raise _Refusal(RejectCode.BAD_PROPERTIES, message)
    return text


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = {list: "an array", _Members: "an object", str: "a string", int: "an integer"}
    return kinds.get(type(value), "a number with a fraction, an exponent or too many digits")
