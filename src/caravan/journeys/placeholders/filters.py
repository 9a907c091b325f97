"""The filters: what each takes, checked when a template is read, and the call of one in a rendering."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from liquid import Token
from liquid.builtin.expressions import KeywordArgument, Nil, PositionalArgument
from liquid.builtin.expressions.primitive import Literal, RangeLiteral, StringLiteral
from liquid.exceptions import LiquidError, LiquidSyntaxError
from liquid.expression import Expression
from markupsafe import Markup

from caravan.journeys.placeholders import dates, kinds, lists, numbers, texts
from caravan.journeys.placeholders.kinds import Mismatch, Read
from caravan.journeys.placeholders.limits import LONG, MAX_ITEMS, too_many_items
from caravan.journeys.placeholders.values import Rendering, kind, number

_CALL_UNITS: Final = 30  # the work of calling any filter


@dataclass(frozen=True, slots=True)
class Filter:
    """What a filter takes: how its value and its arguments are read, by name; those from `required` on may be left out.

    `function` is called with the rendering, the value and the arguments, and `options` as keywords.
    """

    function: Callable[..., object]
    value: Read
    arguments: dict[str, Read] = field(default_factory=dict)
    required: int = 0
    options: dict[str, Read] = field(default_factory=dict)

    def usage(self, name: str) -> str:
        """How it is written: `truncate: [length], [end]`."""
        shown = [each if at < self.required else f"[{each}]" for at, each in enumerate(self.arguments)]
        shown += [f"[{each}: …]" for each in self.options]
        return f"{name}: {', '.join(shown)}" if shown else name


def _of_text(function: Callable[..., object], required: int = 0, **arguments: Read) -> Filter:
    return Filter(function, kinds.read_text, arguments, required)


def _of_number(function: Callable[..., object], required: int = 0, **arguments: Read) -> Filter:
    return Filter(function, kinds.read_number, arguments, required)


def _of_list(function: Callable[..., object], required: int = 0, **arguments: Read) -> Filter:
    return Filter(function, kinds.read_list, arguments, required)


def _of_any(function: Callable[..., object], required: int = 0, **arguments: Read) -> Filter:
    return Filter(function, kinds.read_any, arguments, required)


# Left out of Liquid's: what is quadratic (uniq), what takes HTML apart (strip_html), and what mails don't need.
FILTERS: Final[dict[str, Filter]] = {
    "abs": _of_number(numbers.absolute),
    "append": _of_text(texts.append, 1, text=kinds.read_text),
    "at_least": _of_number(numbers.at_least, 1, least=kinds.read_number),
    "at_most": _of_number(numbers.at_most, 1, most=kinds.read_number),
    "base64_encode": _of_text(texts.base64_encode),
    "capitalize": _of_text(texts.capitalize),
    "ceil": _of_number(numbers.ceil),
    "compact": _of_list(lists.compact, name=kinds.read_name),
    "concat": _of_list(lists.concat, 1, list=kinds.read_items),
    "date": _of_any(dates.date, 1, pattern=kinds.read_text, zone=kinds.read_zone),
    "default": Filter(texts.default, kinds.read_any, {"instead": kinds.read_any}, 0, {"allow_false": kinds.read_any}),
    "divided_by": _of_number(numbers.divided_by, 1, number=kinds.read_number),
    "downcase": _of_text(texts.downcase),
    "escape": _of_text(texts.escape),
    "escape_once": _of_text(texts.escape_once),
    "first": _of_any(lists.first),
    "fixed": _of_any(numbers.fixed, decimals=kinds.read_decimals),
    "floor": _of_number(numbers.floor),
    "join": _of_list(lists.join, separator=kinds.read_text),
    "json": _of_any(texts.json_),
    "last": _of_any(lists.last),
    "lstrip": _of_text(texts.lstrip),
    "map": _of_list(lists.map_, 1, name=kinds.read_text),
    "minus": _of_number(numbers.minus, 1, number=kinds.read_number),
    "modulo": _of_number(numbers.modulo, 1, number=kinds.read_number),
    "money": _of_any(numbers.money, 1, currency=kinds.read_currency, locale=kinds.read_locale),
    "newline_to_br": _of_text(texts.newline_to_br),
    "plus": _of_number(numbers.plus, 1, number=kinds.read_number),
    "prepend": _of_text(texts.prepend, 1, text=kinds.read_text),
    "raw": _of_text(texts.safe),
    "remove": _of_text(texts.remove, 1, text=kinds.read_text),
    "remove_first": _of_text(texts.remove_first, 1, text=kinds.read_text),
    "replace": _of_text(texts.replace, 1, old=kinds.read_text, new=kinds.read_text),
    "replace_first": _of_text(texts.replace_first, 1, old=kinds.read_text, new=kinds.read_text),
    "reverse": _of_list(lists.reverse),
    "round": _of_number(numbers.round_, digits=kinds.read_number),
    "rstrip": _of_text(texts.rstrip),
    "safe": _of_text(texts.safe),
    "size": _of_any(texts.size),
    "slice": _of_any(texts.slice_, 1, start=kinds.read_count, length=kinds.read_count),
    "sort": _of_list(lists.sort, name=kinds.read_name),
    "sort_natural": _of_list(lists.sort_natural, name=kinds.read_name),
    "split": _of_text(texts.split, 1, separator=kinds.read_text),
    "squish": _of_text(texts.squish),
    "strip": _of_text(texts.strip),
    "strip_newlines": _of_text(texts.strip_newlines),
    "sum": _of_list(lists.sum_, name=kinds.read_name),
    "times": _of_number(numbers.times, 1, number=kinds.read_number),
    "truncate": _of_text(texts.truncate, length=kinds.read_count, end=kinds.read_text),
    "truncatewords": _of_text(texts.truncatewords, count=kinds.read_count, end=kinds.read_text),
    "upcase": _of_text(texts.upcase),
    "url_decode": _of_text(texts.url_decode),
    "url_encode": _of_text(texts.url_encode),
    "where": _of_list(lists.where, 1, name=kinds.read_text, value=kinds.read_any),
}


class Misused(LiquidSyntaxError):
    """A filter that there is not, or that does not take its arguments."""


class FilterCall:
    """One filter with its arguments, in a template. Raises `Misused` if it does not take them."""

    __slots__ = ("_arguments", "_function", "_name", "_options", "_read", "_token")

    def __init__(
        self,
        name: str,
        arguments: Sequence[PositionalArgument | KeywordArgument],
        token: Token,
        bound: Callable[[Expression], Expression],
        *,
        html: bool,
    ) -> None:
        self._name, self._token = name, token
        filter_ = self._known(name)
        self._function, self._read = filter_.function, filter_.value
        given = [each.value for each in arguments if isinstance(each, PositionalArgument)]
        if not filter_.required <= len(given) <= len(filter_.arguments):
            raise self._misused(f"takes {_how_many(filter_)}, not {len(given)}: {filter_.usage(name)}")
        self._arguments = [
            self._argument(read, value, bound, html)
            for read, value in zip(filter_.arguments.values(), given, strict=False)
        ]
        self._options = {
            each.name: self._argument(self._option(filter_, each.name), each.value, bound, html)
            for each in arguments
            if isinstance(each, KeywordArgument)
        }

    def evaluate(self, value: object, rendering: Any) -> object:
        """What the filter makes of the value. Raises `LiquidError` with one sentence."""
        rendering.charge(_CALL_UNITS)
        try:
            arguments = [read(expression.evaluate(rendering), rendering) for read, expression in self._arguments]
            options = {name: read(each.evaluate(rendering), rendering) for name, (read, each) in self._options.items()}
            result = self._function(rendering, self._read(value, rendering), *arguments, **options)
            _check_result(result, rendering)
        except LiquidError as error:
            error.token = error.token or self._token
            raise
        except Mismatch as mismatch:
            raise LiquidError(f"{self._name} needs {mismatch}", token=self._token) from None
        except UnicodeEncodeError:
            raise LiquidError(f"{self._name} can't encode half a surrogate pair", token=self._token) from None
        return result

    def _known(self, name: str) -> Filter:
        if name in FILTERS:
            return FILTERS[name]
        close = ", ".join(get_close_matches(name, FILTERS, 1))
        hint = f"did you mean {close}?" if close else f"there are {', '.join(sorted(FILTERS))}"
        raise Misused(f"there is no filter {name}; {hint}", token=self._token)

    def _option(self, filter_: Filter, name: str) -> Read:
        if name in filter_.options:
            return filter_.options[name]
        raise self._misused(f"has no argument named {name}: {filter_.usage(self._name)}")

    def _argument(
        self, read: Read, expression: Expression, bound: Callable[[Expression], Expression], html: bool
    ) -> tuple[Read, Expression]:
        """The argument, read at once if it is written in the template."""
        if isinstance(expression, RangeLiteral) and read not in (kinds.read_any, kinds.read_items):
            raise self._misused("takes no range")
        if not isinstance(expression, Literal | Nil):
            return read, bound(expression)
        value = None if isinstance(expression, Nil) else expression.value
        if read is kinds.read_number and number(value) is None:
            raise self._misused(f"needs a number, not {_shown(value)}")
        try:
            constant = read(Markup(value) if html and isinstance(expression, StringLiteral) else value, _UNCHARGED)
        except Mismatch as mismatch:
            raise self._misused(f"needs {mismatch}, not {_shown(value)}") from None
        except LiquidError as error:
            raise self._misused(f"can't take {_shown(value)}: {error.message}") from None
        return kinds.read_any, Constant(expression.token, constant)

    def _misused(self, how: str) -> Misused:
        return Misused(f"the filter {self._name} {how}", token=self._token)


class Constant(Expression):
    """A value that is known when the template is read."""

    __slots__ = ("_value",)

    def __init__(self, token: Token, value: object) -> None:
        super().__init__(token)
        self._value = value

    def evaluate(self, context: object) -> object:
        return self._value

    def children(self) -> list[Expression]:
        return []


class _Uncharged:
    """Stands for a rendering while a template is read."""

    autoescape = False

    def charge(self, units: int) -> None:
        """Nothing: a template has a bounded length."""

    def moment(self) -> Any:
        raise AssertionError("no argument is read by the clock")


_UNCHARGED: Final = _Uncharged()


def _check_result(result: object, rendering: Rendering) -> None:
    if isinstance(result, str):
        if len(result) > LONG:
            kinds.charge_text(result, rendering)
    elif isinstance(result, list) and len(result) > MAX_ITEMS:
        raise too_many_items()


def _how_many(filter_: Filter) -> str:
    least, most = filter_.required, len(filter_.arguments)
    if not most:
        return "no arguments"
    shown = str(least) if least == most else f"{least} to {most}"
    return f"{shown} argument{'s' if most > 1 else ''}"


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= LONG else "a long text"
    return kind(value) if value is None or isinstance(value, bool) else str(value)[:LONG]
