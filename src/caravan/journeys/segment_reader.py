"""sqlglot's tree of a condition, read node by node into a tree of our own (`segment_tree.py`).

A node that is not in the table `_READERS` is refused, also when it carries an argument that is not expected there.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from sqlglot import exp

from caravan.errors import InvalidInput
from caravan.journeys import segment_tree as tree
from caravan.journeys.durations import Duration, read_duration
from caravan.journeys.event_names import check_name
from caravan.journeys.segment_sql import pattern_to_regex
from caravan.journeys.segment_tree import EPOCH, EXACT, Counted, Kind, Node, Span

MAX_SPAN_YEARS = 1_000  # no sum of spans that fits into a segment leaves DuckDB's calendar
FUNCTIONS = (
    "abs",
    "coalesce",
    "concat",
    "contains",
    "count",
    "ends_with",
    "length",
    "lower",
    "now",
    "round",
    "starts_with",
    "trim",
    "upper",
)
UNITS = {  # (months, microseconds)
    "year": (12, 0),
    "month": (1, 0),
    "week": (0, 7 * 86_400_000_000),
    "day": (0, 86_400_000_000),
    "hour": (0, 3_600_000_000),
    "minute": (0, 60_000_000),
    "second": (0, 1_000_000),
}
_TIME_TYPES = (exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ, exp.DType.TIMESTAMPTZ)


def _refuse(node: exp.Expr, what: str) -> InvalidInput:
    """A sentence about a node, with its place where the parser kept it."""
    meta = next((each.meta for each in node.walk() if "col" in each.meta), None)
    if meta is None:
        return InvalidInput(what)
    column = meta["col"] - (meta["end"] - meta["start"])  # sqlglot tells the last one of the word
    return InvalidInput(f"{what} (line {meta['line']}, column {column})")


def read_node(node: exp.Expr | None) -> Node:
    """The node and all below it. Raises `InvalidInput` with one sentence, and with the place if it is known."""
    if not isinstance(node, exp.Expr):
        raise InvalidInput("the segment misses an operand")
    reader = _READERS.get(type(node))
    if reader is None:
        raise _refuse(node, _not_allowed(node))
    allowed, read = reader
    extra = [key for key, value in node.args.items() if value not in (None, False, []) and key not in allowed]
    if extra:
        raise _refuse(node, f"{_name(node)} can't be used in this way in a segment")
    try:
        return read(node)
    except InvalidInput as error:
        if "(line " in error.message:
            raise
        raise _refuse(node, error.message) from None


def _not_allowed(node: exp.Expr) -> str:
    if isinstance(node, exp.Func) and not isinstance(node, (exp.Cast, exp.Case, exp.If, exp.Collate)):
        return f"there is no function {_name(node)} in segments; there are {', '.join(FUNCTIONS)}"
    return f"{_name(node)} is not allowed in a segment"


def _name(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    return node.sql_name().lower() if isinstance(node, exp.Func) else f"“{node.key}”"


def _column(node: exp.Expr) -> Node:
    """A property, or the contact's id: `id` and `contact.x` mean what they mean in a template."""
    parts = list(_path(node))
    if not all(isinstance(part, exp.Identifier) and part.name for part in parts):
        raise InvalidInput("this is no name of a property")
    names = tuple(str(part.name) for part in parts)
    if names == ("contact",):
        raise InvalidInput("`contact` is the whole contact; name one of its properties, like contact.city")
    own = names[1:] if names[0] == "contact" else names
    if own[0] != "id":
        return Node("property", Kind.ANY, value=own)
    if len(own) > 1:
        raise InvalidInput("`id` is the contact's own id, a text; there is nothing below it")
    return Node("id", Kind.ANY)


def _path(node: exp.Expr) -> list[Any]:
    """The parts of `a.b.c`; sqlglot calls the first ones catalog, database and table."""
    if isinstance(node, exp.Dot):
        return [*_path(node.this), node.expression]
    if isinstance(node, exp.Column):
        return [node.args[key] for key in ("catalog", "db", "table", "this") if node.args.get(key)]
    return [node]


def _literal(node: exp.Expr) -> Node:
    text = str(node.this)
    if node.is_string:
        return Node("text", Kind.TEXT, value=text)
    number: int | float | Fraction = int(text) if text.isdigit() and len(text) <= 300 else float(text)
    if abs(float(number)) > 1.7e308:
        shown = text if len(text) <= 40 else text[:39] + "…"
        raise InvalidInput(f"the number {shown} is too large; a number is at most 1.7e308")
    if isinstance(number, float) and abs(number) >= EXACT:
        exact = Fraction(text)
        number = int(exact) if exact.denominator == 1 else exact
    return Node("number", Kind.NUMBER, value=number)


def _moment(node: exp.Expr) -> Node:
    """`date '…'` and `timestamp '…'`; every other cast is refused."""
    kind, text = node.args["to"].this, node.this
    if kind not in _TIME_TYPES or not isinstance(text, exp.Literal) or not text.is_string:
        raise InvalidInput("a cast is not allowed; a property is read as what it is compared with")
    try:
        moment = datetime.fromisoformat(text.name)
        if kind == exp.DType.DATE:
            date.fromisoformat(text.name)
    except ValueError:
        raise InvalidInput(f"'{text.name}' is nothing like 2026-01-31 or 2026-01-31 09:00:00") from None
    return Node("moment", Kind.TIME, value=moment if moment.tzinfo else moment.replace(tzinfo=EPOCH.tzinfo))


def _interval(node: exp.Expr) -> Node:
    """`interval 3 days`, `interval '3' day` and `interval '1 month 3 days'`."""
    if not isinstance(node.this, exp.Literal):
        raise InvalidInput("an interval is written like `interval 3 days`")
    unit = node.args.get("unit")
    written = f"{node.this.name} {unit.name if unit else ''}".strip().lower()
    parts = re.fullmatch(r"(-?[0-9]{1,12}\s+[a-z]+(\s+|$))+", written)
    found = re.findall(r"(-?[0-9]+)\s+([a-z]+?)s?(?=\s|$)", written) if parts else []
    if not found or any(name not in UNITS for _, name in found):
        raise InvalidInput(f"'{written}' is no interval; units are {', '.join(UNITS)}")
    months = sum(int(count) * UNITS[name][0] for count, name in found)
    microseconds = sum(int(count) * UNITS[name][1] for count, name in found)
    if abs(months) > MAX_SPAN_YEARS * 12 or abs(microseconds) > MAX_SPAN_YEARS * 365 * UNITS["day"][1]:
        raise InvalidInput(f"the interval is longer than {MAX_SPAN_YEARS} years")
    return Node("span", Kind.SPAN, value=Span(months, microseconds))


def _chain(node: exp.Expr) -> Node:
    """A row of `and` or of `or`, however long, as one node."""
    operands: list[exp.Expr] = []
    stack = [node]
    while stack:
        each = stack.pop()
        if type(each) is type(node):
            stack += [each.expression, each.this]
        else:
            operands.append(each)
    return Node(node.key, Kind.TRUTH, tuple(tree.condition(read_node(each)) for each in operands))


def _not(node: Node) -> Node:
    return Node("not", Kind.TRUTH, (tree.condition(node),))


def _comparison(op: str) -> Callable[[exp.Expr], Node]:
    def read(node: exp.Expr) -> Node:
        if isinstance(node.this, (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)):
            raise InvalidInput("comparisons can't be chained; join them with `and`")
        return tree.compare(op, read_node(node.this), read_node(node.expression))

    return read


def _arithmetic(op: str) -> Callable[[exp.Expr], Node]:
    return lambda node: tree.arithmetic(op, read_node(node.this), read_node(node.expression))


def _function(name: str, result: Kind, argument: Kind = Kind.TEXT) -> Callable[[exp.Expr], Node]:
    def read(node: exp.Expr) -> Node:
        operands = [node.this, node.args.get("expression"), *node.expressions]
        return Node(name, result, tuple(tree.read(read_node(each), argument) for each in operands if each is not None))

    return read


def _in(node: exp.Expr) -> Node:
    if not node.expressions:
        raise InvalidInput("`in` needs a list, like city in ('Oslo', 'Bergen')")
    return tree.among(read_node(node.this), [read_node(each) for each in node.expressions])


def _between(node: exp.Expr) -> Node:
    value = read_node(node.this)
    low = tree.compare(">=", value, read_node(node.args["low"]))
    high = tree.compare("<=", value, read_node(node.args["high"]))
    return Node("and", Kind.TRUTH, (low, high))


def _is(node: exp.Expr) -> Node:
    value, asked = read_node(node.this), node.expression
    if isinstance(asked, exp.Null):
        return Node("is_null", Kind.TRUTH, (tree.settled(value),))
    if isinstance(asked, exp.Boolean):
        return Node("is_truth", Kind.TRUTH, (tree.condition(value),), bool(asked.this))
    raise InvalidInput("after `is` stands null, not null, true or false")


def _like(node: exp.Expr, escape: str | None = None) -> Node:
    pattern = node.expression
    if not isinstance(pattern, exp.Literal) or not pattern.is_string:
        raise InvalidInput("the pattern of `like` is a text in quotes")
    matching = (pattern_to_regex(pattern.name, escape), isinstance(node, exp.ILike))
    matches = Node("like", Kind.TRUTH, (tree.read(read_node(node.this), Kind.TEXT),), matching)
    return _not(matches) if node.args.get("negate") else matches


def _escape(node: exp.Expr) -> Node:
    like, escape = node.this, node.expression
    written = escape.name if isinstance(escape, exp.Literal) else ""
    if type(like) not in (exp.Like, exp.ILike) or len(written) != 1:
        raise InvalidInput("`escape` stands after `like` with one character in quotes")
    return _like(like, written)


def _round(node: exp.Expr) -> Node:
    digits = node.args.get("decimals")
    written = "0" if digits is None else digits.name if isinstance(digits, exp.Literal) else ""
    if not re.fullmatch("[0-9]|10", written):
        raise InvalidInput("round takes from 0 to 10 digits")
    value = tree.operand(read_node(node.this), Kind.NUMBER)
    return Node("round", Kind.NUMBER, (value,), int(written))


def _coalesce(node: exp.Expr) -> Node:
    return tree.coalesce([read_node(each) for each in (node.this, *node.expressions)])


def _count(node: exp.Expr) -> Node:
    """`count('opened')` and `count('opened', 30 days)`."""
    event, others = node.this, node.expressions
    if not isinstance(event, exp.Literal) or not event.is_string or len(others) > 1:
        raise InvalidInput("count takes an event, and how far back: count('opened', 30 days)")
    try:
        counted = Counted(check_name(event.name), _period(others[0]) if others else None)
    except ValueError as error:
        raise InvalidInput(str(error)) from None
    return Node("count", Kind.NUMBER, value=counted)


def _period(node: exp.Expr) -> Duration:
    """How far back is looked. Raises ValueError with a sentence."""
    if not isinstance(node, exp.Interval) or not isinstance(node.this, exp.Literal):
        raise ValueError("how far back count looks is a duration, like count('opened', 30 days)")
    unit = node.args.get("unit")
    period = read_duration(f"{node.this.name} {unit.name if unit else ''}".strip())
    if not period:
        raise ValueError("count looks back for longer than nothing")
    return period


def _now(node: exp.Expr) -> Node:
    if not isinstance(node, exp.CurrentTimestamp) and (node.name.lower() != "now" or node.expressions):
        raise InvalidInput(_not_allowed(node))
    return Node("now", Kind.TIME)


_BOTH = frozenset({"this", "expression"})
_THIS = frozenset({"this"})
_LIST = frozenset({"this", "expressions"})
# sqlglot's class → which of its arguments may be there, and how it is read.
_READERS: dict[type[exp.Expr], tuple[frozenset[str], Callable[[Any], Node]]] = {
    exp.Column: (frozenset({"this", "table", "db", "catalog"}), _column),
    exp.Dot: (_BOTH, _column),
    exp.Paren: (_THIS, lambda node: read_node(node.this)),
    exp.Literal: (frozenset({"this", "is_string"}), _literal),
    exp.Boolean: (_THIS, lambda node: Node("truth", Kind.TRUTH, value=bool(node.this))),
    exp.Null: (frozenset(), lambda _node: Node("null", Kind.NULL)),
    exp.Cast: (frozenset({"this", "to"}), _moment),
    exp.Interval: (frozenset({"this", "unit"}), _interval),
    exp.And: (_BOTH, _chain),
    exp.Or: (_BOTH, _chain),
    exp.Not: (_THIS, lambda node: _not(read_node(node.this))),
    exp.EQ: (_BOTH, _comparison("=")),
    exp.NEQ: (_BOTH, _comparison("<>")),
    exp.LT: (_BOTH, _comparison("<")),
    exp.LTE: (_BOTH, _comparison("<=")),
    exp.GT: (_BOTH, _comparison(">")),
    exp.GTE: (_BOTH, _comparison(">=")),
    exp.In: (_LIST, _in),
    exp.Between: (frozenset({"this", "low", "high"}), _between),
    exp.Is: (_BOTH, _is),
    exp.Like: (_BOTH | {"negate"}, _like),
    exp.ILike: (_BOTH | {"negate"}, _like),
    exp.Escape: (_BOTH, _escape),
    exp.Add: (_BOTH, _arithmetic("+")),
    exp.Sub: (_BOTH, _arithmetic("-")),
    exp.Mul: (_BOTH, _arithmetic("*")),
    exp.Div: (_BOTH, _arithmetic("/")),
    exp.Neg: (_THIS, lambda node: tree.negative(read_node(node.this))),
    exp.DPipe: (_BOTH | {"safe"}, _function("||", Kind.TEXT)),
    exp.Concat: (frozenset({"expressions", "safe", "coalesce"}), _function("concat", Kind.TEXT)),
    exp.Lower: (_THIS, _function("lower", Kind.TEXT)),
    exp.Upper: (_THIS, _function("upper", Kind.TEXT)),
    exp.Trim: (_THIS, _function("trim", Kind.TEXT)),
    exp.Length: (_THIS, _function("length", Kind.NUMBER)),
    exp.Contains: (_BOTH, _function("contains", Kind.TRUTH)),
    exp.StartsWith: (_BOTH, _function("starts_with", Kind.TRUTH)),
    exp.EndsWith: (_BOTH, _function("ends_with", Kind.TRUTH)),
    exp.Coalesce: (
        _LIST,
        lambda node: tree.coalesce([read_node(each) for each in (node.this, *node.expressions)]),
    ),
    exp.Abs: (_THIS, lambda node: Node("abs", Kind.NUMBER, (tree.operand(read_node(node.this), Kind.NUMBER),))),
    exp.Round: (frozenset({"this", "decimals"}), _round),
    exp.Count: (_LIST | {"big_int"}, _count),
    exp.CurrentTimestamp: (frozenset(), _now),
    exp.CurrentDate: (frozenset(), lambda _node: Node("today", Kind.TIME)),
    exp.Anonymous: (_LIST, _now),
}
