"""When two values are the same, one is below the other, or one contains the other."""

from collections.abc import Mapping
from decimal import Decimal

from liquid.builtin.expressions.primitive import Blank, Empty
from liquid.undefined import Undefined

from caravan.journeys.placeholders.limits import LONG
from caravan.journeys.placeholders.values import Rendering, as_text, number


def same(left: object, right: object, rendering: Rendering) -> bool:
    """`==`: values of one kind that are equal, and `empty` and `blank` with what they mean."""
    if isinstance(right, Empty | Blank):
        left, right = right, left
    left, right = (None if isinstance(each, Undefined) else each for each in (left, right))
    if isinstance(left, Blank):
        return isinstance(right, Blank) or right is None or right is False or _is_empty(right, blank=True)
    if isinstance(left, Empty):
        return isinstance(right, Empty) or _is_empty(right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return isinstance(left, int | float | Decimal) and number(left) == number(right)
    _charge_comparison(left, rendering)
    return left == right


def below(left: object, right: object, rendering: Rendering, *, or_same: bool = False) -> bool:
    """`<` of two texts or two numbers, also of a number and a text that is one. Anything else does not match."""
    if isinstance(left, str) and isinstance(right, str):
        _charge_comparison(left, rendering)
        return left <= right if or_same else left < right
    first, second = number(left), number(right)
    if first is None or second is None:
        return False
    return first <= second if or_same else first < second


def contains(left: object, right: object, rendering: Rendering) -> bool:
    """Whether a text has this part, a list this item, or an object this name."""
    if right is None or right is False or isinstance(right, Undefined):
        return False
    if isinstance(left, str):
        rendering.charge(len(left) // 16)
        return as_text(right, rendering) in left
    if isinstance(left, Mapping):
        rendering.charge(len(right) if isinstance(right, str) else 0)
        return isinstance(right, str) and right in left
    if isinstance(left, range):
        return isinstance(right, int) and not isinstance(right, bool) and right in left
    if not isinstance(left, list | tuple):
        return False
    rendering.charge(10 * len(left))
    return any(same(each, right, rendering) for each in left)


def _charge_comparison(value: object, rendering: Rendering) -> None:
    if isinstance(value, str):
        if len(value) > LONG:
            rendering.charge(len(value) // 32)
    elif isinstance(value, list | tuple | Mapping):
        rendering.charge(10 * _size(value))


def _size(value: object) -> int:
    """About how much there is to compare in a list or an object, in characters and items."""
    if isinstance(value, str):
        return 1 + len(value) // 64
    if isinstance(value, Mapping):
        return 1 + sum(1 + _size(each) for each in value.values())
    return 1 + sum(map(_size, value)) if isinstance(value, list | tuple) else 1


def _is_empty(value: object, *, blank: bool = False) -> bool:
    if isinstance(value, str):
        return not value or (blank and value.isspace())
    return isinstance(value, list | dict | range) and not value


def is_default(value: object) -> bool:
    """Whether the filter `default` replaces this value: nothing, false and what is empty."""
    return value is None or value is False or isinstance(value, Undefined) or _is_empty(value)
