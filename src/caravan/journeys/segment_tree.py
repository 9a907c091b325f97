"""What a segment says, as a typed tree: each operand is read as the type that it is compared with."""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

from caravan.errors import InvalidInput
from caravan.journeys.durations import Duration

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = 2**53  # below it each whole number is a double of its own; this one is also the next one's
MAX_DIGITS = 38  # of the whole numbers that are compared exactly: DuckDB's DECIMAL(38, 0)
COMPARISONS = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}  # and each one's mirror
_DECIDED: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Kind(StrEnum):
    """The type of a value. ANY is a property (or a choice of some): its text, read as what is asked for."""

    ANY = "a property"
    TEXT = "a text"
    NUMBER = "a number"
    TIME = "a time"
    TRUTH = "a condition"
    SPAN = "a span of time"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time as SQL has it. A month counts as 30 days where spans are compared."""

    months: int
    microseconds: int


@dataclass(frozen=True, slots=True)
class Node:
    """`op` on `args`, giving a `kind`; `value` is what the operation needs besides."""

    op: str
    kind: Kind
    args: tuple["Node", ...] = ()
    value: Any = None


@dataclass(frozen=True, slots=True)
class Counted:
    """How many events of a name a contact did, in the period before now; None: all that are kept."""

    event: str
    period: Duration | None = None

    @property
    def column(self) -> str:
        """The column of the table of contacts in which the numbers stand."""
        return f"count {self.event} {self.words}".rstrip()

    @property
    def words(self) -> str:
        """The period like `1 month 2 days`."""
        return "" if self.period is None else str(self.period)

    def __str__(self) -> str:
        return f"count('{self.event}'{', ' if self.words else ''}{self.words})"


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    stack = [node]
    while stack:
        each = stack.pop()
        yield each
        stack.extend(each.args)


ARITHMETIC = frozenset({"+", "-", "*", "/", "neg", "abs", "round"})


def operand(node: Node, kind: Kind) -> Node:
    """`node` read as `kind`. Raises `InvalidInput` if its type can't be."""
    if node.kind == kind:
        return node
    if node.kind is Kind.NULL:
        return Node("null", kind)
    if node.kind is Kind.ANY and kind is Kind.TEXT:
        return Node("as_text", kind, (node,))
    if node.kind in (Kind.ANY, Kind.TEXT) and kind is not Kind.SPAN:
        return Node("read", kind, (node,))
    if node.op == "number" and kind is Kind.TEXT:
        return Node("text", kind, value=str(float(node.value) if isinstance(node.value, Fraction) else node.value))
    raise InvalidInput(f"{node.kind} can't be used as {kind}")


def read(node: Node, kind: Kind) -> Node:
    """Like `operand`, and a sum that is no finite number becomes null."""
    result = operand(node, kind)
    return Node("finite", kind, (result,)) if result.op in ARITHMETIC else result


def settled(node: Node) -> Node:
    """The node as it stands, only that a sum that is no finite number becomes null."""
    return read(node, node.kind)


def condition(node: Node) -> Node:
    """The node as something that is true, false or null."""
    if node.kind in (Kind.TRUTH, Kind.ANY, Kind.NULL):
        return operand(node, Kind.TRUTH)
    raise InvalidInput(f"{node.kind} is no condition; compare it with something")


def compare(op: str, left: Node, right: Node) -> Node:
    """A comparison: a property takes the other side's type; two properties are compared as texts."""
    if Kind.NULL in (left.kind, right.kind):
        raise InvalidInput("nothing compares with null; write `is null` or `is not null`")
    kind = _common(left.kind, right.kind)
    if kind is Kind.TRUTH and op not in ("=", "<>"):
        raise InvalidInput(f"{op} can't compare conditions")
    first, second = read(left, kind), read(right, kind)
    if first.op == second.op == "number":
        return Node("truth", Kind.TRUTH, value=_DECIDED[op](first.value, second.value))
    if _is_big(second):
        return _compare_exactly(op, first, second)
    if _is_big(first):
        return _compare_exactly(COMPARISONS[op], second, first)
    return Node("compare", Kind.TRUTH, (first, second), op)


def _compare_exactly(op: str, value: Node, literal: Node) -> Node:
    """A comparison with a number that shares its double with others: the digits of a property decide."""
    if value.op == "read":
        return Node("big", Kind.TRUTH, (value, literal), op)
    if value.op == "coalesce":  # null only where the comparison is: so of each choice the comparison can be made
        return Node("coalesce", Kind.TRUTH, tuple(compare(op, each, literal) for each in value.args))
    return Node("compare", Kind.TRUTH, (value, literal), op)


def _common(left: Kind, right: Kind) -> Kind:
    concrete = {left, right} - {Kind.ANY}
    if len(concrete) == 2:
        concrete -= {Kind.TEXT}
    if not concrete:
        return Kind.TEXT
    if len(concrete) == 2 or (Kind.SPAN in concrete and left is not right):
        raise InvalidInput(f"{left} can't be compared with {right}")
    return concrete.pop()


def _is_big(node: Node) -> bool:
    value = node.value
    return (
        node.op == "number"
        and not isinstance(value, float)
        and abs(float(value)) >= EXACT
        and abs(value) < 10**MAX_DIGITS
    )


def among(value: Node, items: list[Node]) -> Node:
    """`value in (items)`; texts stay together, so that a long list is one look-up."""
    texts = [each for each in items if each.kind is Kind.TEXT and value.kind in (Kind.ANY, Kind.TEXT)]
    parts = [compare("=", value, each) for each in items if each not in texts]
    if texts:
        parts.append(Node("in", Kind.TRUTH, (read(value, Kind.TEXT), *texts)))
    return parts[0] if len(parts) == 1 else Node("or", Kind.TRUTH, tuple(parts))


def arithmetic(op: str, left: Node, right: Node) -> Node:
    """Numbers with numbers, a time with a span, or the span between two times."""
    kinds = (left.kind, right.kind)
    if right.kind is Kind.SPAN and op in "+-":
        return _shift(op, left, right)
    if left.kind is Kind.SPAN and op == "+":
        return _shift(op, right, left)
    if Kind.TIME in kinds and op == "-" and Kind.NUMBER not in kinds:
        return Node("since", Kind.SPAN, (operand(left, Kind.TIME), operand(right, Kind.TIME)))
    if Kind.TIME in kinds:
        raise InvalidInput("a time can only be moved by an interval, like `now() - interval 3 days`")
    return Node(op, Kind.NUMBER, (operand(left, Kind.NUMBER), operand(right, Kind.NUMBER)))


def _shift(op: str, moment: Node, span: Node) -> Node:
    if span.op != "span":
        raise InvalidInput("only a written interval can be added to a time")
    sign = 1 if op == "+" else -1
    by = Span(sign * span.value.months, sign * span.value.microseconds)
    return Node("shift", Kind.TIME, (operand(moment, Kind.TIME),), by)


def coalesce(items: list[Node]) -> Node:
    """The first of the items that is not null; all are read as the one type that is written among them."""
    kinds = {each.kind for each in items} - {Kind.ANY, Kind.NULL}
    if len(kinds) > 1:
        raise InvalidInput(f"coalesce mixes {' and '.join(sorted(kinds))}")
    if not kinds:
        properties = [each for each in items if each.kind is Kind.ANY]
        return Node("coalesce", Kind.ANY, tuple(properties)) if properties else Node("null", Kind.NULL)
    kind = kinds.pop()
    return Node("coalesce", kind, tuple(read(each, kind) for each in items))


def negative(node: Node) -> Node:
    """`-node`; a literal stays one."""
    if node.op == "number":
        return Node("number", Kind.NUMBER, value=-node.value)
    return Node("neg", Kind.NUMBER, (operand(node, Kind.NUMBER),))
