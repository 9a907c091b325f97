"""Conditions, ranges and loops of a template, with Liquid's meaning and without Python's: `bind` puts them in place.

python-liquid's own compare as Python does, speak of Python's types, and let a template work without a limit.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from liquid import RenderContext, Token
from liquid.ast import Node
from liquid.builtin.expressions import BooleanExpression, FilteredExpression, LoopExpression
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalNotExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import Literal, RangeLiteral, StringLiteral
from liquid.builtin.tags.case_tag import MultiExpressionBlockNode
from liquid.exceptions import LiquidError, LiquidSyntaxError
from liquid.expression import Expression

from caravan.journeys.placeholders.comparisons import below, contains, same
from caravan.journeys.placeholders.filters import FilterCall
from caravan.journeys.placeholders.values import Rendering, kind, number

Compare = Callable[[object, object, Any], bool]

_COMPARISONS: Final[dict[type[Expression], Compare]] = {
    EqExpression: same,
    NeExpression: lambda left, right, rendering: not same(left, right, rendering),
    LtExpression: below,
    LeExpression: lambda left, right, rendering: below(left, right, rendering, or_same=True),
    GtExpression: lambda left, right, rendering: below(right, left, rendering),
    GeExpression: lambda left, right, rendering: below(right, left, rendering, or_same=True),
    ContainsExpression: contains,
}
# The attributes in which python-liquid's nodes and expressions keep others.
NODE_SLOTS: Final = ("expression", "condition", "group")
LOGIC_SLOTS: Final = ("expression", "left", "right")


def bind(nodes: Iterable[Node], static_context: RenderContext, *, html: bool) -> None:
    """Put our expressions in the place of Liquid's in a template that has just been parsed.

    Raises `Misused` for a filter that there is not or that does not take its arguments, and `LiquidSyntaxError` for a
    number that is too large.
    """
    for node in nodes:
        for slot in NODE_SLOTS:
            if isinstance(expression := getattr(node, slot, None), Expression):
                setattr(node, slot, _bound(expression, html))
        if isinstance(node, MultiExpressionBlockNode):
            node.expression = AnyOf(node.expression, html)  # type: ignore[assignment]
        if arguments := getattr(node, "args", None):  # of `cycle`
            arguments[:] = [_bound(each, html) for each in arguments]
        bind(node.children(static_context, include_partials=False), static_context, html=html)


def _bound(expression: Expression, html: bool) -> Expression:
    if isinstance(expression, FilteredExpression):
        left = _bound(expression.left, html)
        bound = partial(_bound, html=html)
        calls = [FilterCall(each.name, each.args, each.token, bound, html=html) for each in expression.filters or ()]
        return Filtered(expression.token, left, calls) if calls else left
    if compare := _COMPARISONS.get(type(expression)):
        left, right = (_bound(getattr(expression, slot), html) for slot in ("left", "right"))
        return Comparison(expression.token, compare, left, right)
    if isinstance(expression, BooleanExpression | LogicalAndExpression | LogicalOrExpression | LogicalNotExpression):
        for slot in LOGIC_SLOTS:
            if hasattr(expression, slot):
                setattr(expression, slot, _bound(getattr(expression, slot), html))
        return expression
    if isinstance(expression, RangeLiteral):
        return Range(expression, html)
    if isinstance(expression, LoopExpression):
        return Loop(expression, html)
    if isinstance(expression, Literal):
        _check_literal(expression)
    return expression


def _check_literal(expression: Literal[Any]) -> None:
    try:
        if not isinstance(expression.value, str):
            number(expression.value)
    except LiquidError as error:
        raise LiquidSyntaxError(str(error.message), token=expression.token) from None


class _Bound(Expression):
    """An expression that is there only for rendering: the names in it have been gathered before."""

    __slots__ = ()

    def children(self) -> list[Expression]:
        return []


class Filtered(_Bound):
    """`value | filter | filter`"""

    __slots__ = ("_calls", "_left")

    def __init__(self, token: Token, left: Expression, calls: list[FilterCall]) -> None:
        super().__init__(token)
        self._left, self._calls = left, calls

    def __str__(self) -> str:
        return str(self._left)

    def evaluate(self, context: RenderContext) -> object:
        value = self._left.evaluate(context)
        for call in self._calls:
            value = call.evaluate(value, context)
        return value


class Comparison(_Bound):
    """`left == right` and its like."""

    __slots__ = ("_compare", "_left", "_right")

    def __init__(self, token: Token, compare: Compare, left: Expression, right: Expression) -> None:
        super().__init__(token)
        self._compare, self._left, self._right = compare, left, right

    def evaluate(self, context: RenderContext) -> bool:
        try:
            return self._compare(self._left.evaluate(context), self._right.evaluate(context), context)
        except LiquidError as error:
            error.token = error.token or self.token
            raise


class AnyOf(_Bound):
    """Which of the values of a `when` the value of its `case` is the same as."""

    __slots__ = ("_left", "_values")

    def __init__(self, expression: Any, html: bool) -> None:
        super().__init__(expression.token)
        self._left = _bound(expression.left, html)
        self._values = [_bound(each, html) for each in expression.expressions]

    def evaluate(self, context: RenderContext) -> list[bool]:
        left = self._left.evaluate(context)
        return [same(left, each.evaluate(context), context) for each in self._values]  # type: ignore[arg-type]


class Range(_Bound):
    """`(first..last)`; an end that is no number is 0."""

    __slots__ = ("_first", "_last", "_written")

    def __init__(self, expression: RangeLiteral, html: bool) -> None:
        super().__init__(expression.token)
        self._written = str(expression)
        self._first, self._last = _bound(expression.start, html), _bound(expression.stop, html)

    def __str__(self) -> str:
        return self._written

    def evaluate(self, context: RenderContext) -> range:
        first, last = (int(number(each.evaluate(context)) or 0) for each in (self._first, self._last))
        return range(first, last + 1) if first <= last else range(0)


class Loop(_Bound):
    """What a `for` goes through: the items of a list, the names and values of an object, a range, or one text."""

    __slots__ = ("_key", "_limit", "_offset", "_resumes", "_reversed", "identifier", "iterable")

    def __init__(self, expression: LoopExpression, html: bool) -> None:
        super().__init__(expression.token)
        self.identifier = expression.identifier
        self._key = f"{expression.identifier}-{expression.iterable}"
        self.iterable = _bound(expression.iterable, html)
        offset = expression.offset
        self._resumes = isinstance(offset, StringLiteral) and offset.value == "continue"
        self._offset = None if offset is None or self._resumes else _bound(offset, html)
        self._limit = None if expression.limit is None else _bound(expression.limit, html)
        self._reversed = expression.reversed

    def evaluate(self, context: Any) -> tuple[Iterator[object], int]:
        """The items and how many they are."""
        items, length = _items(self.iterable.evaluate(context), context)
        start = context.stopindex(self._key) if self._resumes else self._whole(self._offset, context, 0)
        start = min(max(start, 0), length)
        stop = min(max(start + self._whole(self._limit, context, length), start), length)
        context.stopindex(self._key, stop)
        chosen = items[start:stop]
        context.charge(stop - start)
        return iter(chosen[::-1] if self._reversed else chosen), stop - start

    def _whole(self, expression: Expression | None, context: RenderContext, otherwise: int) -> int:
        if expression is None:
            return otherwise
        value = expression.evaluate(context)
        found = number(value)
        if found is None:
            raise LiquidError(
                f"limit and offset of a loop are whole numbers, not {kind(value)}", token=expression.token
            )
        return int(found)


def _items(value: object, rendering: Rendering) -> tuple[Sequence[Any], int]:
    if isinstance(value, range):
        return value, max(value.stop - value.start, 0)  # len() of a long one overflows
    if isinstance(value, Mapping):
        rendering.charge(10 * len(value))
        value = tuple(value.items())
    elif isinstance(value, str):
        value = (value,) if value else ()
    return (value, len(value)) if isinstance(value, list | tuple) else ((), 0)
