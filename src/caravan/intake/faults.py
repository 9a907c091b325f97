"""What is wrong with a text that is not JSON, in words that need no knowledge of the parser."""

import json
import unicodedata
from collections.abc import Callable
from typing import Final

_CONTROLS: Final = {
    "\0": "NUL", "\b": "backspace", "\t": "tab", "\n": "line feed", "\v": "vertical tab", "\f": "form feed",
    "\r": "carriage return", "\x1b": "escape", "\x7f": "delete",
}  # fmt: skip
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Co", "Cn", "Mn", "Me"})  # categories of Unicode
_QUOTES: Final = {"'": "a single quote", '"': "a double quote"}
_MARK: Final = "\ufeff"


def explain(error: json.JSONDecodeError, before: int = 0) -> str:
    """A clause that says what stands where it must not. Characters count from 1; `before` come before the text.

    Python's own words are for its programmers, and change with its versions, so none of them is passed on; what they
    begin with only tells what the parser was about to read.
    """
    for beginning, clause in _CLAUSES.items():
        if error.msg.startswith(beginning):
            return clause(error.doc, error.pos, error.pos + before + 1)
    return f"{_at(error.doc, error.pos)} at character {error.pos + before + 1} can't stand there"


Clause = Callable[[str, int, int], str]  # of the text, the position in it, and the character's number for people


def _wanted(what: str) -> Clause:
    def clause(text: str, position: int, number: int) -> str:
        if position >= len(text):
            return f"it ends where {what} must follow"
        if text[position] == _MARK:
            return f"{_at(text, position)} stands at character {number}, and only the beginning of a file may have one"
        return f"{_at(text, position)} stands at character {number} where {what} must follow"

    return clause


def _wanted_or_comma(what: str) -> Clause:
    """The same where the parser tells a comma too many by what follows it."""

    def clause(text: str, position: int, number: int) -> str:
        closes = position < len(text) and text[position] in "]}"
        if closes and text[:position].rstrip(" \t\r\n").endswith(","):
            return f"a comma stands before the {_at(text, position)} at character {number}"
        return _wanted(what)(text, position, number)

    return clause


def _trailing(text: str, position: int, number: int) -> str:
    return f"a comma stands at character {number} with nothing behind it"


def _control(text: str, position: int, number: int) -> str:
    return f"{_at(text, position)} stands inside a string at character {number}"


def _no_end(text: str, position: int, number: int) -> str:
    return f"the string that begins at character {number} has no end"


def _no_escape(text: str, position: int, number: int) -> str:
    return f"the backslash at character {number} begins no escape that JSON has"


def _no_number(text: str, position: int, number: int) -> str:
    behind = text.rfind("\\", 0, position + 1)  # the position is that of the backslash or of what follows it
    return f"the \\u at character {number - position + behind} needs four hexadecimal digits behind it"


def _extra(text: str, position: int, number: int) -> str:
    return f"{_at(text, position)} stands at character {number}, behind the end of the value"


_CLAUSES: Final[dict[str, Clause]] = {
    "Expecting value": _wanted_or_comma("a value"),
    "Expecting property name": _wanted_or_comma("a name in double quotes"),
    "Expecting ':'": _wanted("a colon"),
    "Expecting ','": _wanted("a comma or a closing bracket"),
    "Illegal trailing comma": _trailing,
    "Unterminated string": _no_end,
    "Invalid control character": _control,
    "Invalid \\u": _no_number,
    "Invalid \\": _no_escape,
    "Extra data": _extra,
}


def _at(text: str, position: int) -> str:
    """The character at a position, so that it can be found: as it is, or by its name and number if it can't be seen."""
    if position >= len(text):
        return "the end"
    if text[position] in _QUOTES:
        return _QUOTES[text[position]]
    character = text[position]
    number = f"U+{ord(character):04X}"
    if character in _CONTROLS:
        return f"a control character ({_CONTROLS[character]} {number})"
    if character == _MARK:
        return f"a byte order mark ({number})"
    match unicodedata.category(character):
        case "Cc":
            return f"a control character ({number})"
        case category if category in _INVISIBLE and character != " ":
            return f"a character that can't be seen ({unicodedata.name(character, 'without a name').lower()} {number})"
    return f"'{character}'"
