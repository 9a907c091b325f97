"""The quick way through a template of texts, outputs and `if` alone: without Liquid's scopes and buffers.

Outputs and conditions are still Liquid's own expressions, so that both ways give the same.
"""

from collections.abc import Sequence
from typing import Any, Self

from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression

from caravan.journeys.placeholders.engine import Context, placeholder
from caravan.journeys.placeholders.limits import LONG
from caravan.journeys.placeholders.values import as_json, printed


class Value:
    """`{{ … }}`"""

    __slots__ = ("_expression", "_token")

    def __init__(self, node: OutputNode) -> None:
        self._expression, self._token = node.expression, node.token

    def json(self, context: Context) -> Any:
        """The value as JSON has it, with its type; None for what there is not. Raises `LiquidError`."""
        try:
            value = as_json(self._expression.evaluate(context), context)
        except LiquidError as error:
            error.token = error.token or self._token
            raise
        if context.empty is not None and (value is None or (isinstance(value, str) and not value.strip())):
            context.empty.add(placeholder(self._expression))
        return value

    def fill(self, context: Context) -> str:
        """The value's text. Raises `LiquidError`, also when this rendering's long values come to too much."""
        try:
            text = printed(self._expression.evaluate(context), context)
        except LiquidError as error:
            error.token = error.token or self._token
            raise
        if context.empty is not None and not text.strip():
            context.empty.add(placeholder(self._expression))
        if len(text) > LONG:  # shorter ones can't come to much in a template of a bounded length
            context.grow(len(text))
        return text


class Block:
    """Texts, values and choices, one after the other."""

    __slots__ = ("_parts", "_silent")

    def __init__(self, parts: "tuple[str | Value | Choice, ...]", *, silent: bool) -> None:
        """Of a `silent` one nothing is printed: Liquid leaves out blocks with nothing but blanks."""
        self._parts, self._silent = parts, silent

    @classmethod
    def of(cls, nodes: Sequence[Node], *, silent: bool = False) -> Self | None:
        """None if there is something else among the nodes."""
        parts = tuple(part for node in nodes if (part := _part(node)) is not None)
        return cls(parts, silent=silent) if len(parts) == len(nodes) else None

    @property
    def sole(self) -> Value | None:
        """The one value that it consists of, if it does."""
        (only,) = self._parts if len(self._parts) == 1 else (None,)
        return only if isinstance(only, Value) else None

    def fill(self, context: Context) -> str:
        """The text for one contact. Raises `LiquidError`."""
        text = "".join([part if isinstance(part, str) else part.fill(context) for part in self._parts])
        return "" if self._silent else text


class Choice:
    """`{% if … %} … {% elsif … %} … {% else %} … {% endif %}`"""

    __slots__ = ("_branches", "_otherwise")

    def __init__(self, branches: tuple[tuple[Expression, Block], ...], otherwise: Block | None) -> None:
        self._branches, self._otherwise = branches, otherwise

    def fill(self, context: Context) -> str:
        """The text of the first branch whose condition is true. Raises `LiquidError`."""
        for condition, block in self._branches:
            if condition.evaluate(context):
                return block.fill(context)
        return self._otherwise.fill(context) if self._otherwise is not None else ""


def _part(node: Node) -> str | Value | Choice | None:
    if isinstance(node, ContentNode):
        return node.text
    if isinstance(node, OutputNode):
        return Value(node)
    return _choice(node) if isinstance(node, IfNode) else None


def _choice(node: IfNode) -> Choice | None:
    found = [(node.condition, node.consequence), *((each.expression, each.block) for each in node.alternatives)]
    branches = tuple((condition, block) for condition, each in found if (block := _block(each)) is not None)
    otherwise = None if node.default is None else _block(node.default)
    if len(branches) < len(found) or (node.default is not None and otherwise is None):
        return None
    return Choice(branches, otherwise)


def _block(node: BlockNode) -> Block | None:
    return Block.of(node.nodes, silent=node.blank)
