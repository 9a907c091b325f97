"""The kinds of values that filters take: each reads one, or tells what is needed instead."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Final

from liquid.undefined import Undefined

from caravan.journeys.placeholders import dates, numbers
from caravan.journeys.placeholders.limits import LONG, MAX_ITEMS, MAX_OUTPUT, text_too_long, too_many_items
from caravan.journeys.placeholders.values import Number, Rendering, as_text, kind, number

Read = Callable[[object, Rendering], Any]

_MOST_DECIMALS: Final = 20
_FARTHEST: Final = 1 << 31  # a count beyond it is as good as endless


class Mismatch(Exception):
    """A value that is not of the kind that a filter needs. Its argument is what is needed."""


def read_any(value: object, rendering: Rendering) -> object:
    return value


def read_text(value: object, rendering: Rendering) -> str:
    text = value if isinstance(value, str) else as_text(value, rendering)
    if len(text) > LONG:
        charge_text(text, rendering)
    return text


def charge_text(text: str, rendering: Rendering) -> None:
    if len(text) > MAX_OUTPUT:
        raise text_too_long()
    rendering.charge(len(text))


def read_number(value: object, rendering: Rendering) -> Number:
    found = number(value)
    return 0 if found is None else found


def read_count(value: object, rendering: Rendering) -> int:
    found = number(value)
    if found is None:
        raise Mismatch("a whole number")
    return int(max(-_FARTHEST, min(found, _FARTHEST)))


def read_decimals(value: object, rendering: Rendering) -> int:
    found = number(value)
    if found is None or not 0 <= found <= _MOST_DECIMALS:
        raise Mismatch(f"a number of decimals from 0 to {_MOST_DECIMALS}")
    return int(found)


def read_name(value: object, rendering: Rendering) -> str | None:
    return None if kind(value) == "nothing" else read_text(value, rendering)


def read_list(value: object, rendering: Rendering) -> list[Any]:
    if kind(value) == "nothing":
        return []
    if isinstance(value, range):
        return _few(value, rendering)
    if isinstance(value, list | tuple):
        return _few(_flat(value, rendering), rendering)
    return [value]


def read_items(value: object, rendering: Rendering) -> list[Any]:
    if kind(value) not in ("nothing", "a list"):
        raise Mismatch("a list")
    return [] if isinstance(value, Undefined | None) else _few(value, rendering)  # type: ignore[arg-type]


def _few(items: Sequence[Any], rendering: Rendering) -> list[Any]:
    # Not len(): that of a long range overflows.
    if items[MAX_ITEMS : MAX_ITEMS + 1]:
        raise too_many_items()
    rendering.charge(10 * len(items))
    return list(items)


def _flat(items: Sequence[Any], rendering: Rendering, depth: int = 5) -> Sequence[Any]:
    """The items of the lists within, as deep as Liquid looks."""
    rendering.charge(2 * len(items))
    if not depth or not any(isinstance(each, list | tuple) for each in items):
        return items
    flat: list[Any] = []
    for each in items:
        if isinstance(each, list | tuple):
            flat.extend(_flat(each, rendering, depth - 1)[: MAX_ITEMS + 1])
        else:
            flat.append(each)
        if len(flat) > MAX_ITEMS:
            break
    return flat


def read_zone(value: object, rendering: Rendering) -> str:
    if kind(value) == "nothing" or value == "":
        return ""
    if not dates.is_zone(value):
        close = get_close_matches(str(value)[:LONG], dates.zones(), 1) if isinstance(value, str) else []
        raise Mismatch(f"a time zone like {close[0] if close else 'Europe/Berlin'}")
    return str(value)


def read_currency(value: object, rendering: Rendering) -> str:
    if not numbers.is_currency(value):
        raise Mismatch("a currency like EUR")
    return str(value)


def read_locale(value: object, rendering: Rendering) -> str:
    if not numbers.is_locale(value):
        raise Mismatch("a locale like de_DE")
    return str(value)
