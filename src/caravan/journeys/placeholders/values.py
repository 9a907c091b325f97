"""The values that a rendering handles: what kinds there are, and how each is read as a text or as a number.

A value is what JSON has (None, bool, int, float, str, list, dict), or what Liquid makes of it on the way: a `Decimal`
that no float holds exactly, a tuple (name and value of an object in a loop), a range, `Undefined`, or `contact`.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from liquid.undefined import Undefined
from markupsafe import Markup, escape

from caravan.journeys.placeholders.contact import ContactNames
from caravan.journeys.placeholders.limits import LONG, MAX_DIGITS, MAX_OUTPUT, text_too_long, too_many_digits

Number = int | Decimal


class Rendering(Protocol):
    """What filters and comparisons know of the rendering that they work for."""

    autoescape: bool

    def charge(self, units: int) -> None:
        """Count work, in units of about 50 ns. Raises `LiquidError` if it is more than a rendering may do."""

    def moment(self) -> datetime:
        """The moment of the rendering, timezone-aware."""


def kind(value: object) -> str:
    """What a sentence calls such a value."""
    if value is None or isinstance(value, Undefined):
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "an object" if isinstance(value, Mapping) else "a list"


# Texts


def printed(value: object, rendering: Rendering) -> str:
    """A value as `{{ … }}` prints it: a list's items one after the other, and everything else as its text."""
    if isinstance(value, list | tuple):
        return _bounded("", (printed(each, rendering) for each in value), rendering)
    text = value if isinstance(value, str) else as_text(value, rendering)
    if len(text) > LONG:
        rendering.charge(len(text))
    return escape(text) if rendering.autoescape else text


def as_text(value: object, rendering: Rendering) -> str:
    """A value as a text: nothing for null, `true`, digits without an exponent, and JSON for lists and objects."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return number_text(value)
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    return _json_text(value, rendering)


def as_json(value: object, rendering: Rendering) -> Any:
    """A value as JSON has it, with its type; None for nothing. Raises `LiquidError` for a number without an end."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal):
        number_text(value)
        return float(value) if value == value else None
    if isinstance(value, list | tuple | dict | ContactNames):
        return json.loads(_json_text(value, rendering))  # so that its size is bounded, and it is JSON all the way down
    text = as_text(value, rendering)
    if len(text) > LONG:
        rendering.charge(len(text))
    return None if isinstance(value, Undefined) else str(text)


def number_text(value: float | Decimal) -> str:
    """A decimal number with all its digits: `2.0`, `0.0000001`. Raises `LiquidError` for one without an end."""
    if isinstance(value, Decimal) or "e" in (text := repr(value)):
        text = format(Decimal(repr(value)) if isinstance(value, float) else value, "f")
        whole, _, fraction = text.partition(".")
        return f"{whole}.{fraction.rstrip('0') or '0'}"
    if text == "nan":
        return "NaN"
    if not math.isfinite(value):
        raise too_many_digits()
    return text


def _json_text(value: object, rendering: Rendering) -> str:
    if isinstance(value, list | tuple):
        # In pieces, as a list may hold the same large item thousands of times.
        pieces = (_json(list(value[at : at + 16]))[1:-1] for at in range(0, len(value), 16))
        return f"[{_bounded(', ', pieces, rendering)}]"
    if isinstance(value, dict | ContactNames):
        text = _json(value)
        rendering.charge(len(text))
        return text
    return ""  # `forloop`, `empty`, `blank`


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        raise too_many_digits() from None


def _plain(value: object) -> object:
    if isinstance(value, ContactNames):
        return dict(value)
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    return float(value) if isinstance(value, Decimal) else None


def joined(separator: str, items: list[Any], rendering: Rendering) -> str:
    """The texts of all items. Raises `LiquidError` if they come to more than a rendering may have."""
    return _bounded(separator, (as_text(each, rendering) for each in items), rendering)


def _bounded(separator: str, pieces: Iterator[str], rendering: Rendering) -> str:
    length, kept = 0, []
    for piece in pieces:
        length += len(piece) + len(separator)
        if length > MAX_OUTPUT + len(separator):
            raise text_too_long()
        kept.append(piece)
    rendering.charge(length)
    return separator.join(kept)


# Numbers

_NUMBER = re.compile(r"([+-]?)(?:(\d+)(\.\d*)?|(\.\d+))(?:[eE]([+-]?\d+))?", re.ASCII)
_DIGITS = re.compile(rf"\s{{0,9}}[+-]?[\d.]{{{2 * MAX_DIGITS}}}", re.ASCII)
_MOST = 10**MAX_DIGITS
_LONGEST_NUMBER = 3 * MAX_DIGITS  # characters, with blanks, sign and exponent


def number(value: object) -> Number | None:
    """A number, or a text that is one; None for anything else, also for the text "NaN".

    Raises `LiquidError` for a number with more than `MAX_DIGITS` digits before its decimal point.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return checked(value)
    if isinstance(value, float | Decimal):
        return _decimal(value)
    return _read_number(value) if isinstance(value, str) else None


def checked(value: int) -> int:
    """The number itself. Raises `LiquidError` if it has more than `MAX_DIGITS` digits."""
    if -_MOST < value < _MOST:
        return value
    raise too_many_digits()


def decimal_result(value: Decimal) -> float | Decimal:
    """What a filter answers: a float if it is exact, so that it compares like a property."""
    value = _checked(value)
    near = float(value) + 0.0  # no -0.0
    return near if Decimal(repr(near)) == value else value


def _decimal(value: float | Decimal) -> Decimal | None:
    if value != value:
        return None
    return _checked(value if isinstance(value, Decimal) else Decimal(repr(value)))


def _checked(value: Decimal) -> Decimal:
    """The number itself, or 0 if it is nearer to it than `MAX_DIGITS` digits can tell."""
    if value.is_infinite() or value.adjusted() >= MAX_DIGITS:
        raise too_many_digits()
    return value if value.adjusted() >= -MAX_DIGITS else Decimal(0)


def _read_number(text: str) -> Number | None:
    if len(text) > _LONGEST_NUMBER:
        if _DIGITS.match(text):
            raise too_many_digits()
        return None
    found = _NUMBER.fullmatch(text.strip(" \t\r\n"))
    if found is None:
        return None
    sign, whole, fraction, bare, exponent = found.groups(default="")
    digits = whole.lstrip("0") + fraction + bare
    if len(whole.lstrip("0")) > MAX_DIGITS:
        raise too_many_digits()
    if whole and not fraction and not exponent:
        return int(sign + (whole.lstrip("0") or "0"))
    if len(exponent.lstrip("+-0")) > 5:
        if exponent.startswith("-") or not digits.strip(".0"):
            return Decimal(0)
        raise too_many_digits()
    return _checked(Decimal(f"{sign}{digits if digits.strip('.') else '0'}e{exponent or 0}"))


def trusted(text: str, like: str) -> str:
    """A text that holds nothing unsafe but what `like` holds: HTML if that is HTML."""
    return Markup(text) if isinstance(like, Markup) else text
