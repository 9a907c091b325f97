"""The list filters. They are given flat lists of at most `MAX_ITEMS` items; what is no list is a list of one item."""

from collections.abc import Callable
from itertools import islice
from typing import Any

from liquid.exceptions import LiquidError
from markupsafe import Markup

from caravan.journeys.placeholders.comparisons import same
from caravan.journeys.placeholders.contact import ContactNames, find
from caravan.journeys.placeholders.numbers import Result, sum_of
from caravan.journeys.placeholders.values import Rendering, as_text, joined, kind, number


def first(rendering: Rendering, value: object) -> object:
    """The first item of a list, or name and value of an object; nothing for anything else."""
    if isinstance(value, dict | ContactNames):
        return next(islice(value.items(), 1), None)
    return value[0] if isinstance(value, list | tuple | range) and value else None


def last(rendering: Rendering, value: object) -> object:
    return value[-1] if isinstance(value, list | tuple | range) and value else None


def join(rendering: Rendering, items: list[Any], separator: str | None = None) -> str:
    if separator is None:
        separator = Markup(" ") if rendering.autoescape else " "
    return joined(separator, items, rendering)


def concat(rendering: Rendering, items: list[Any], more: list[Any]) -> list[Any]:
    return items + more


def reverse(rendering: Rendering, items: list[Any]) -> list[Any]:
    return items[::-1]


def compact(rendering: Rendering, items: list[Any], name: str | None = None) -> list[Any]:
    """Without the items that are nothing, or have nothing of this name."""
    return [each for each in items if (each if name is None else _member(each, name, rendering)) is not None]


def map_(rendering: Rendering, items: list[Any], name: str) -> list[Any]:
    return [_member(each, name, rendering) for each in items]


def where(rendering: Rendering, items: list[Any], name: str, value: object = None) -> list[Any]:
    """The items that have this value under this name; without a value, those that have any but false."""
    if kind(value) == "nothing":
        return [each for each in items if (has := _member(each, name, rendering)) is not None and has is not False]
    return [each for each in items if same(_member(each, name, rendering), value, rendering)]


def sum_(rendering: Rendering, items: list[Any], name: str | None = None) -> Result:
    found = (number(each if name is None else _member(each, name, rendering)) for each in items)
    return sum_of(rendering, [each for each in found if each is not None])


def sort(rendering: Rendering, items: list[Any], name: str | None = None) -> list[Any]:
    """Numbers or texts in their order, with what is nothing at the end."""
    return _sorted(rendering, items, name, lambda value: number(value) if not isinstance(value, str) else value)


def sort_natural(rendering: Rendering, items: list[Any], name: str | None = None) -> list[Any]:
    """By their texts without regard to case, with what is nothing at the end."""
    return _sorted(rendering, items, name, lambda value: as_text(value, rendering).casefold())


def _sorted(rendering: Rendering, items: list[Any], name: str | None, key: Callable[[Any], Any]) -> list[Any]:
    found = [(each if name is None else _member(each, name, rendering), each) for each in items]
    keyed = [(key(value), each) for value, each in found if value is not None]
    kinds = {kind(value) for value, _ in keyed}
    if len(kinds) > 1 or "nothing" in kinds:
        raise LiquidError("a list can be sorted if all its items are texts, or all are numbers", token=None)
    # All of them may be as long as the longest, and be compared some 14 times.
    rendering.charge(sum(4 * len(value) for value, _ in keyed if isinstance(value, str)) + 20 * len(keyed))
    keyed.sort(key=lambda pair: pair[0])
    return [each for _, each in keyed] + [each for value, each in found if value is None]


def _member(item: object, name: str, rendering: Rendering) -> Any:
    """What an object has under this name; nothing for anything else."""
    if not isinstance(item, dict | ContactNames):
        return None
    try:
        return item[name]
    except KeyError:
        rendering.charge(4 * len(item))
        try:
            return find(item, name)
        except KeyError:
            return None
