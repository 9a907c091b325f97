"""A segment's tree as DuckDB SQL. All of it is written here; only literals come from a user.

No expression made here raises on any JSON object: whatever can fail is a try_cast, and a number is only
looked at where it is finite. Times are TIMESTAMP in UTC, so that the session's time zone can't matter.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from caravan.errors import InvalidInput
from caravan.journeys.segment_tree import EPOCH, MAX_DIGITS, Kind, Node, Span

MAX_SQL = 200_000  # characters; some operands are written more than once
NOW, TODAY, ID = "\0now\0", "\0today\0", "\0id\0"  # no segment contains NUL
_PROPERTY = re.compile(r"\0(/[^\0]*)\0")
_COUNT = re.compile(r"\0#([^\0]*)\0")
MONTH = 30 * 86_400_000_000  # microseconds

NUMBER = r"[ \t\r\n]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t\r\n]*"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
_ZONE = r"(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)"
TIMES = f"{_DATE}({_CLOCK}{_ZONE}?)?"
LOCAL_TIME, MOMENT = f"{_DATE}({_CLOCK})?", _DATE + _CLOCK + _ZONE
TRUE_WORDS = ("true", "t", "yes", "y", "1")
FALSE_WORDS = ("false", "f", "no", "n", "0")
_TYPES = {
    Kind.TEXT: "VARCHAR",
    Kind.NUMBER: "DOUBLE",
    Kind.TIME: "TIMESTAMP",
    Kind.TRUTH: "BOOLEAN",
    Kind.SPAN: "BIGINT",
    Kind.NULL: "VARCHAR",
    Kind.ANY: "VARCHAR",
}


def to_sql(node: Node) -> str:
    """The tree as an expression, with NOW, TODAY, ID and the properties still to be filled in by `first_true`.

    Raises `InvalidInput` if it becomes longer than MAX_SQL.
    """
    return f"coalesce({_write(node)}, FALSE)"


def first_true(conditions: Sequence[str], now: datetime) -> str:
    """A query over the table `contacts`: its column `arm` (BIGINT) tells of each the first condition that is true.

    The conditions come from `to_sql` and are counted from 0; where none is true, `arm` is how many they are. Each
    contact's JSON is read once, for all properties together: reading it for each would be most of the time.
    The column `id` is read only if a condition asks for it, and a column of counts (`Counted.column`) likewise.
    """
    filled, source = _over_contacts(conditions, now)
    cases = " ".join(f"WHEN {each} THEN {index}" for index, each in enumerate(filled))
    return f"SELECT CASE {cases} ELSE {len(filled)} END::BIGINT AS arm FROM {source}"


def each_value(expressions: Sequence[str], now: datetime) -> str:
    """A query over the same table with a column for each of the expressions, in their order."""
    filled, source = _over_contacts(expressions, now)
    return f"SELECT {', '.join(filled)} FROM {source}"


def each_number(expressions: Sequence[str], now: datetime) -> str:
    """A query over the same table with a column for each of these numbers (DOUBLE), `n0`, `n1` and so on; one that is
    null, or less than 0, is 0."""
    filled, source = _over_contacts(expressions, now)
    columns = (f"greatest(coalesce(CAST({each} AS DOUBLE), 0), 0) AS n{place}" for place, each in enumerate(filled))
    return f"SELECT {', '.join(columns)} FROM {source}"


def value_sql(node: Node) -> str:
    """What a part of a tree is for a contact, with the same to be filled in as in `to_sql`."""
    return _write(node)


def _over_contacts(expressions: Sequence[str], now: datetime) -> tuple[list[str], str]:
    """The expressions filled in, and the table that they are to be asked of."""
    places: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        return f"p[{places.setdefault(found[1], len(places) + 1)}]"

    filled = [_PROPERTY.sub(place, _at(now, each)) for each in expressions]
    own = ", id" if any(ID in each for each in filled) else ""
    counts = sorted({f'"{name}"' for each in filled for name in _COUNT.findall(each)})
    own += "".join(f", {each}" for each in counts)
    filled = [_COUNT.sub(r'"\1"', each) for each in filled]
    pointers = f"[{', '.join(map(quote, places))}]::VARCHAR[]"
    source = f"(SELECT json_extract_string(properties, {pointers}) AS p{own} FROM contacts)"
    return [each.replace(ID, "id") for each in filled], source


def _at(now: datetime, sql: str) -> str:
    today = now.astimezone(EPOCH.tzinfo).replace(hour=0, minute=0, second=0, microsecond=0)
    return sql.replace(NOW, str(_microseconds(now))).replace(TODAY, str(_microseconds(today)))


def _write(node: Node) -> str:
    if node.op in _VALUES:
        sql = _VALUES[node.op](node)
    else:
        args = [_write(each) for each in node.args]
        sql = _FORMS[node.op](node, args)
    if len(sql) > MAX_SQL:
        raise InvalidInput("the segment is too complicated; split it into several steps")
    return sql


def quote(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def pattern_to_regex(pattern: str, escape: str | None) -> str:
    """A LIKE pattern as RE2, whose time is linear in the text, where LIKE's own matching is not."""
    parts: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == escape:
            letter = next(letters, "")
            if not letter:
                raise InvalidInput("the pattern ends with its escape character")
            parts.append(_literal(letter))
        else:
            parts.append({"%": ".*", "_": "."}.get(letter) or _literal(letter))
    return "".join(parts)


def _literal(letter: str) -> str:
    return letter if letter.isalnum() else f"\\x{{{ord(letter):x}}}"


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int | str) -> str:
    return f"make_timestamp(CAST({microseconds} AS BIGINT))"


def _property(node: Node) -> str:
    # A JSON pointer (RFC 6901 §3): unlike in a JSON path, no name is a wildcard in it.
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in node.value)
    return f"\0{pointer}\0"


def _span(span: Span) -> str:
    return f"CAST({span.months * MONTH + span.microseconds} AS BIGINT)"


def _read(node: Node, args: list[str]) -> str:
    return _READINGS[node.kind](args[0])


def _as_number(text: str) -> str:
    number = f"try_cast({text} AS DOUBLE)"
    return f"CASE WHEN regexp_full_match({text}, {quote(NUMBER)}) AND isfinite({number}) THEN {number} END"


def _as_truth(text: str) -> str:
    word = f"lower(trim({text}))"
    true, false = (", ".join(map(quote, words)) for words in (TRUE_WORDS, FALSE_WORDS))
    return f"CASE WHEN {word} IN ({true}) THEN TRUE WHEN {word} IN ({false}) THEN FALSE END"


def _as_time(text: str) -> str:
    zoned = (
        f"CASE WHEN starts_with({text}, '0000') THEN NULL"
        f" WHEN regexp_full_match({text}, {quote(_DATE)}) THEN {text} || ' 00:00:00+00'"
        f" WHEN regexp_full_match({text}, {quote(_DATE + _CLOCK)}) THEN {text} || '+00'"
        f" WHEN regexp_full_match({text}, {quote(_DATE + _CLOCK + _ZONE)}) THEN {text} END"
    )
    return f"make_timestamp(epoch_us(try_cast({zoned} AS TIMESTAMPTZ)))"


_READINGS = {Kind.NUMBER: _as_number, Kind.TRUTH: _as_truth, Kind.TIME: _as_time}


def _big(node: Node, args: list[str]) -> str:
    """Doubles first; where they are the same, the digits decide, so that long ids don't flow together.

    Numbers that are the same double have at most one digit more or less before the point: the other digits of a
    DECIMAL(38) are left for what follows the point.
    """
    (number, literal), op = args, node.value
    exact = Fraction(node.args[1].value)
    scale = max(0, MAX_DIGITS - 1 - len(str(abs(int(exact)))))
    decimal = f"DECIMAL({MAX_DIGITS}, {scale})"
    written = f"CAST('{_digits(exact, scale)}' AS {decimal})"
    text = _write(node.args[0].args[0])
    by_digits = f"coalesce(try_cast({text} AS {decimal}) {op} {written}, {literal} {op} {literal})"
    return f"CASE WHEN {number} = {literal} THEN {by_digits} ELSE {number} {op} {literal} END"


def _digits(number: Fraction, scale: int) -> str:
    """The number with `scale` digits after the point."""
    digits = str(round(abs(number) * 10**scale)).rjust(scale + 1, "0")
    whole, fraction = digits[: len(digits) - scale], digits[len(digits) - scale :]
    return f"{'-' if number < 0 else ''}{whole}.{fraction}"


def _shift(node: Node, args: list[str]) -> str:
    by: Span = node.value
    return f"({args[0]} + to_months({by.months}) + to_microseconds(CAST({by.microseconds} AS BIGINT)))"


def _like(node: Node, args: list[str]) -> str:
    regex, caseless = node.value
    return f"regexp_full_match({args[0]}, {quote(regex)}, '{'si' if caseless else 's'}')"


def _call(name: str) -> Callable[[Node, list[str]], str]:
    return lambda _node, args: f"{name}({', '.join(args)})"


def _infix(operator: str) -> Callable[[Node, list[str]], str]:
    return lambda _node, args: "(" + f" {operator} ".join(args) + ")"


_VALUES: dict[str, Callable[[Node], str]] = {
    "property": _property,
    "text": lambda node: quote(node.value),
    "number": lambda node: f"CAST('{float(node.value)!r}' AS DOUBLE)",
    "truth": lambda node: str(node.value).upper(),
    "null": lambda node: f"CAST(NULL AS {_TYPES[node.kind]})",
    "moment": lambda node: _moment(_microseconds(node.value)),
    "span": lambda node: _span(node.value),
    "now": lambda _node: _moment(NOW),
    "today": lambda _node: _moment(TODAY),
    "id": lambda _node: ID,
    "count": lambda node: f"CAST(\0#{node.value.column}\0 AS DOUBLE)",
}

_FORMS: dict[str, Callable[[Node, list[str]], str]] = {
    "as_text": lambda _node, args: args[0],
    "read": _read,
    "finite": lambda _node, args: f"CASE WHEN isfinite({args[0]}) THEN {args[0]} END",
    "+": _infix("+"),
    "-": _infix("-"),
    "*": _infix("*"),
    "/": lambda _node, args: f"({args[0]} / CASE WHEN {args[1]} <> 0 THEN {args[1]} END)",
    "neg": lambda _node, args: f"(- {args[0]})",
    "abs": _call("abs"),
    "round": lambda node, args: f"round({args[0]}, {node.value})",
    "shift": _shift,
    "since": lambda _node, args: f"(epoch_us({args[0]}) - epoch_us({args[1]}))",
    "lower": _call("lower"),
    "upper": _call("upper"),
    "trim": _call("trim"),
    "length": lambda _node, args: f"CAST(length({args[0]}) AS DOUBLE)",
    "concat": _call("concat"),
    "||": _infix("||"),
    "coalesce": _call("coalesce"),
    "contains": _call("contains"),
    "starts_with": _call("starts_with"),
    "ends_with": _call("ends_with"),
    "compare": lambda node, args: f"({args[0]} {node.value} {args[1]})",
    "big": _big,
    "in": lambda _node, args: f"({args[0]} IN ({', '.join(args[1:])}))",
    "like": _like,
    "is_null": lambda _node, args: f"({args[0]} IS NULL)",
    "is_truth": lambda node, args: f"({args[0]} IS {str(node.value).upper()})",
    "not": lambda _node, args: f"(NOT {args[0]})",
    "and": _infix("AND"),
    "or": _infix("OR"),
}
