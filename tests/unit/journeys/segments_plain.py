"""A second reading of segments, in plain Python: what a condition means, without DuckDB."""

import json
import math
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from caravan.journeys.segment_tree import Kind, Node, Span
from caravan.journeys.segments import compile_segment

ID = "\0id"  # no property can be asked for by this name
EPOCH = datetime(1970, 1, 1)
MONTH = 30 * 86_400_000_000
NUMBER = re.compile(r"[ \t\r\n]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t\r\n]*")
TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[ T]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?"
    r"(?:(Z)|([+-])(0[0-9]|1[0-4]):?([0-5][0-9])?)?)?"
)
WORDS = dict.fromkeys(["true", "t", "yes", "y", "1"], True) | dict.fromkeys(["false", "f", "no", "n", "0"], False)


def matches(segment: str, properties: dict[str, Any], now: datetime, id: str = "1") -> bool:
    """Whether the condition is true of the contact with this id and these properties."""
    return _value(compile_segment(segment).tree, properties | {ID: id}, now) is True


def _value(node: Node, properties: dict[str, Any], now: datetime) -> Any:
    args = [_value(each, properties, now) for each in node.args]
    match node.op:
        case "property":
            return _text(_look_up(properties, node.value))
        case "id":
            return properties[ID]
        case "text" | "truth":
            return node.value
        case "number":
            return float(node.value)
        case "null":
            return None
        case "moment":
            return _microseconds(node.value.astimezone(UTC).replace(tzinfo=None))
        case "now":
            return _microseconds(now.astimezone(UTC).replace(tzinfo=None))
        case "today":
            return _microseconds(datetime.combine(now.astimezone(UTC).date(), datetime.min.time()))
        case "span":
            return node.value.months * MONTH + node.value.microseconds
        case "and":
            return False if False in args else None if None in args else True
        case "or":
            return True if True in args else None if None in args else False
        case "is_null":
            return args[0] is None
        case "is_truth":
            return args[0] is node.value
        case "coalesce":
            return next((each for each in args if each is not None), None)
        case "concat":
            return "".join(each for each in args if each is not None)
        case "big":
            return _big(node, args, properties, now)
        case "in":
            return None if args[0] is None else args[0] in args[1:]
    return None if None in args else _strict(node, args)


def _strict(node: Node, args: list[Any]) -> Any:
    """An operation that is null where one of its operands is."""
    first, second = args[0], args[-1]
    match node.op:
        case "as_text":
            return first
        case "read":
            return READINGS[node.kind](first)
        case "finite":
            return first if math.isfinite(first) else None
        case "/":
            return None if second == 0 else _ieee(lambda: first / second)
        case "neg":
            return -first
        case "abs":
            return abs(first)
        case "round":
            return _round(first, node.value)
        case "shift":
            return _shift(first, node.value)
        case "length":
            return float(len(first))
        case "lower":
            return "".join(each.lower() if len(each.lower()) == 1 else each for each in first)
        case "upper":
            return "".join(each.upper() if len(each.upper()) == 1 else each for each in first)
        case "trim":
            return _trim(first)
        case "like":
            regex = re.sub(r"\\x\{([0-9a-f]+)\}", lambda found: re.escape(chr(int(found[1], 16))), node.value[0])
            flags = re.DOTALL | (re.IGNORECASE if node.value[1] else re.NOFLAG)
            return re.fullmatch(regex, first, flags) is not None
        case "not":
            return not first
        case "compare":
            return COMPARE[node.value](first, second)
    return OPERATIONS[node.op](first, second)


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "since": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "||": lambda a, b: a + b,
    "contains": lambda a, b: b in a,
    "starts_with": lambda a, b: a.startswith(b),
    "ends_with": lambda a, b: a.endswith(b),
}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _look_up(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and re.fullmatch("0|[1-9][0-9]*", name) and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return _json(value)


def _json(value: Any) -> str:
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_json(name)}:{_json(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _float(value: float) -> str:
    """As DuckDB's JSON writes it: the shortest digits, with an exponent below 1e-6 and from 1e21 on."""
    if value and not 1e-6 <= abs(value) < 1e21:
        digits, exponent = (f"{Decimal(repr(value)):e}").split("e")
        whole, _, fraction = digits.partition(".")
        fraction = fraction.rstrip("0")
        return whole + (f".{fraction}" if fraction else "") + f"e{int(exponent)}"
    plain = f"{Decimal(repr(value)):f}"
    return plain if "." in plain else plain + ".0"


def _number(text: str) -> float | None:
    if not NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _truth(text: str) -> bool | None:
    return WORDS.get(_trim(text).lower())


def _time(text: str) -> int | None:
    found = TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = found.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return None
    offset = (int(hours or 0) * 60 + int(minutes or 0)) * 60_000_000 * (-1 if sign == "-" else 1)
    return _microseconds(moment) + int((fraction or "").ljust(6, "0")[:6]) - offset


READINGS: dict[Kind, Callable[[str], Any]] = {Kind.NUMBER: _number, Kind.TRUTH: _truth, Kind.TIME: _time}


def _trim(text: str) -> str:
    spaces = "".join(each for each in set(text) if unicodedata.category(each) == "Zs")
    return text.strip(spaces) if spaces else text


def _ieee(work: Callable[[], float]) -> float:
    try:
        return work()
    except OverflowError:
        return math.inf


def _round(value: float, digits: int) -> float:
    scaled = value * 10.0**digits
    if not math.isfinite(scaled):
        return value
    return float(Decimal(scaled).quantize(Decimal(1), ROUND_HALF_UP)) / 10.0**digits if abs(scaled) < 1e20 else value


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _shift(moment: int, by: Span) -> int:
    """Months first, clamped to the last day of the month."""
    start = EPOCH + timedelta(microseconds=moment)
    months = start.year * 12 + start.month - 1 + by.months
    year, month = divmod(months, 12)
    last = (datetime(year + month // 11, (month + 1) % 12 + 1, 1) - timedelta(days=1)).day
    return _microseconds(start.replace(year=year, month=month + 1, day=min(start.day, last))) + by.microseconds


def _big(node: Node, args: list[Any], properties: dict[str, Any], now: datetime) -> bool | None:
    """By the digits where the doubles are the same; what has too many of them counts as equal."""
    number, literal = args
    compare = COMPARE[node.value]
    if number is None or number != literal:
        return None if number is None else compare(number, literal)
    exact = Fraction(node.args[1].value)
    scale = max(0, 37 - len(str(abs(int(exact)))))
    text = Fraction(_value(node.args[0].args[0], properties, now).strip())
    if abs(text) >= 10 ** (38 - scale):
        return compare(0, 0)
    return compare(_half_up(text, scale), round(exact * 10**scale))


def _half_up(number: Fraction, scale: int) -> int:
    digits = int(abs(number) * 10**scale + Fraction(1, 2))
    return digits if number >= 0 else -digits
