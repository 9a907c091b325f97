"""Segments: SQL conditions over a contact's properties, allow-listed node by node.

`sqlglot` only tells how the words hang together. `segment_reader.py` makes a tree of our own of what is allowed, and
the SQL is written anew from that tree.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import SqlglotError

from caravan.errors import InvalidInput
from caravan.journeys import segment_sql
from caravan.journeys import segment_tree as tree
from caravan.journeys.segment_reader import read_node
from caravan.journeys.segment_sql import to_sql
from caravan.journeys.segment_tree import Counted, Kind, Node
from caravan.journeys.segment_warnings import refuse_typographic_quotes, warnings_about

MAX_LENGTH = 4_000  # characters
MAX_BRACKETS = 20  # open at the same time; each costs the parser some 20 frames of Python's 1,000
MAX_DEPTH = 100
MAX_COUNTS = 8  # each is a query
MAX_JOINED = 16  # texts put together in one segment, so that a row can't grow without end


@dataclass(frozen=True, slots=True)
class Segment:
    """A condition that has been read. `paths` are the properties it uses: `address.city` is ("address", "city")."""

    text: str
    paths: frozenset[tuple[str, ...]]
    tree: Node
    sql: str  # of segment_sql.py
    counts: tuple[Counted, ...] = ()  # events that it counts, each once

    @property
    def asks_the_clock(self) -> bool:
        """Whether it says `now()` or `current_date`, so that the same contact may not match at another time."""
        return segment_sql.NOW in self.sql or segment_sql.TODAY in self.sql


def first_true(segments: Sequence[Segment], now: datetime) -> str:
    """A DuckDB query that tells of each contact the first segment that is true, as `arm` (BIGINT), counted from 0.

    It reads the table `contacts`: its column `properties` (VARCHAR: a JSON object) and, if a segment asks for it, `id`
    (VARCHAR), and a column (BIGINT) for each of its `counts`. For contacts of which no segment is true, `arm` is how
    many segments there are. `now` (timezone-aware) is what `now()` and `current_date` mean.
    """
    return segment_sql.first_true([each.sql for each in segments], now)


@dataclass(frozen=True, slots=True)
class Reading:
    """A property that a segment looks at. `kind` is the type that it is read as, and ANY stands for its own text."""

    path: tuple[str, ...]  # () is the contact's id
    kind: Kind
    raw: Node  # its text as it came; null if the property is missing or null
    value: Node  # the same as `kind`; null also if it can't be read so


def readings(segment: Segment) -> list[Reading]:
    """All that the segment looks at, each property once for each type that it is read as."""
    found: dict[tuple[tuple[str, ...], Kind], Reading] = {}
    for node in tree.walk(segment.tree):
        for each in (node, *node.args) if node.op == "read" else (node,):
            if each.op in ("property", "id", "count"):
                kind = node.kind
                path = {"property": each.value, "count": (str(each.value),)}.get(each.op, ())
                found.setdefault((path, kind), Reading(path, kind, each, node))
    read = {path for path, kind in found if kind is not Kind.ANY}
    kept = [each for (path, kind), each in found.items() if kind is not Kind.ANY or path not in read]
    return sorted(kept, key=lambda each: (each.path, each.kind))


def each_value(segments: Sequence[Segment], looked_at: Sequence[Reading], now: datetime) -> str:
    """A DuckDB query over the table `contacts` of `first_true`. Its columns, in this order: of each segment whether it
    is true, and of each reading its raw text and its value."""
    values = [segment_sql.value_sql(node) for each in looked_at for node in (each.raw, each.value)]
    return segment_sql.each_value([*(each.sql for each in segments), *values], now)


def compile_segment(text: str, *, counts: bool = False) -> Segment:
    """Read a condition; one that counts events only if `counts` says so. Raises `InvalidInput` with one sentence, and
    with the place if it is known."""
    segment = _compile(text)[0]
    if segment.counts and not counts:
        raise InvalidInput(f"only splits and the weights of an ab count events, as {segment.counts[0]} would")
    return segment


@dataclass(frozen=True, slots=True)
class Amount:
    """A number that is reckoned for each contact, of numbers and of events that it counts, each once."""

    sql: str  # of segment_sql.py
    counts: tuple[Counted, ...]


def compile_amount(text: str) -> Amount:
    """Read a number like `1 + count('opened', 30 days)`. Raises `InvalidInput` as `compile_segment` does."""
    root = tree.read(read_node(_parse(text)), Kind.NUMBER)
    if any(each.op in ("property", "id") for each in tree.walk(root)):
        raise InvalidInput("it can be reckoned of numbers and of counts of events only, like count('opened', 30 days)")
    counts = tuple(dict.fromkeys(each.value for each in tree.walk(root) if each.op == "count"))
    if len(counts) > MAX_COUNTS:
        raise InvalidInput(f"it counts events in more than {MAX_COUNTS} ways")
    return Amount(segment_sql.value_sql(root), counts)


def each_amount(amounts: Sequence[Amount], now: datetime) -> str:
    """A DuckDB query over the table `contacts` of `first_true`, with a column (DOUBLE, at least 0) for each amount:
    `n0`, `n1` and so on."""
    return segment_sql.each_number([each.sql for each in amounts], now)


def compile_with_warnings(text: str) -> tuple[Segment, tuple[str, ...]]:
    """The same, with a sentence about each thing that is allowed and hardly meant, like a text in double quotes."""
    segment, parsed = _compile(text)
    return segment, warnings_about(text, parsed, segment.tree)


def _compile(text: str) -> tuple[Segment, exp.Expr]:
    parsed = _parse(text)
    try:
        root = tree.condition(read_node(parsed))
        sql = to_sql(root)
    except RecursionError:
        raise InvalidInput("the segment is nested too deeply") from None
    if sum(len(each.args) for each in tree.walk(root) if each.op in ("concat", "||")) > MAX_JOINED:
        raise InvalidInput(f"the segment puts more than {MAX_JOINED} texts together")
    paths = frozenset(each.value for each in tree.walk(root) if each.op == "property")
    counts = tuple(dict.fromkeys(each.value for each in tree.walk(root) if each.op == "count"))
    if len(counts) > MAX_COUNTS:
        raise InvalidInput(f"the segment counts events in more than {MAX_COUNTS} ways")
    return Segment(text, paths, root, sql, counts), parsed


def _parse(text: str) -> exp.Expr:
    if not text.strip():
        raise InvalidInput("the segment is empty")
    if len(text) > MAX_LENGTH:
        raise InvalidInput(f"the segment is longer than {MAX_LENGTH} characters")
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", text):
        raise InvalidInput("the segment contains a control character")
    refuse_typographic_quotes(text)
    try:
        _check_brackets(text)
        parsed = sqlglot.parse_one(_with_intervals(text), into=exp.Condition, dialect="duckdb")
    except RecursionError:
        raise InvalidInput("the segment is nested too deeply") from None
    except SqlglotError as error:
        raise InvalidInput(_sentence(error)) from None
    except InvalidInput:
        raise
    except Exception:  # the parser trips over some texts, in ways of its own
        raise InvalidInput("the segment can't be read as a condition") from None
    _check_depth(parsed)
    return parsed


def _with_intervals(text: str) -> str:
    """The same condition with `interval` before the durations of counts, without which SQL has none."""
    tokens = sqlglot.tokenize(text, dialect="duckdb")
    for place in range(len(tokens) - 6, -1, -1):
        name, bracket, event, comma, number, unit = tokens[place : place + 6]
        call = (name.text.lower(), bracket.text, comma.text) == ("count", "(", ",")
        kinds = (event.token_type, number.token_type) == (TokenType.STRING, TokenType.NUMBER)
        if call and kinds and unit.text.isalpha():
            text = f"{text[: number.start]}interval {text[number.start :]}"
    return text


def _check_brackets(text: str) -> None:
    depth = 0
    for token in sqlglot.tokenize(text, dialect="duckdb"):
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        if depth > MAX_BRACKETS:
            raise InvalidInput(
                f"more than {MAX_BRACKETS} brackets are open at once (line {token.line}, column {token.col})"
            )


def _check_depth(parsed: exp.Expr) -> None:
    stack = [(parsed, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise InvalidInput("the segment is nested too deeply")
        for child in node.iter_expressions():
            same_chain = type(child) is type(node) and isinstance(node, (exp.And, exp.Or))
            stack.append((child, depth + (not same_chain)))


def _sentence(error: SqlglotError) -> str:
    details = getattr(error, "errors", None) or [{}]
    near, line, column = (details[0].get(key) for key in ("highlight", "line", "col"))
    if not near:
        return "the segment can't be read as a condition"
    return f"the segment can't be read near “{near}” (line {line}, column {column - len(near) + 1})"
