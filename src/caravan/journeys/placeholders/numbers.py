"""The number filters, in decimals as in Shopify's Liquid: whole numbers stay whole, halves are rounded away from zero.

What is no number counts as 0, as in Liquid; only `fixed` and `money`, which write a number, leave it as it is.
"""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, localcontext
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, get_currency_precision, list_currencies
from liquid.exceptions import LiquidError

from caravan.journeys.placeholders.limits import MAX_DIGITS
from caravan.journeys.placeholders.values import Number, Rendering, as_text, checked, decimal_result, number

_EXACT = Context(prec=6 * MAX_DIGITS, Emin=-9999, Emax=9999)  # enough for a product of two numbers
_QUOTIENT = Context(prec=34, Emin=-9999, Emax=9999)
_MONEY_UNITS = 2_000  # the work of Babel for one number

Result = int | float | Decimal


def absolute(rendering: Rendering, value: Number) -> Result:
    return checked(abs(value)) if isinstance(value, int) else decimal_result(abs(value))


def at_least(rendering: Rendering, value: Number, other: Number) -> Result:
    return _result(max(value, other))


def at_most(rendering: Rendering, value: Number, other: Number) -> Result:
    return _result(min(value, other))


def plus(rendering: Rendering, value: Number, other: Number) -> Result:
    return _both(value, other, lambda a, b: a + b, _EXACT.add)


def minus(rendering: Rendering, value: Number, other: Number) -> Result:
    return _both(value, other, lambda a, b: a - b, _EXACT.subtract)


def times(rendering: Rendering, value: Number, other: Number) -> Result:
    return _both(value, other, lambda a, b: a * b, _EXACT.multiply)


def divided_by(rendering: Rendering, value: Number, other: Number) -> Result:
    """Rounded down for two whole numbers, else a float."""
    if not other:
        raise LiquidError("divided_by can't divide by 0", token=None)
    return _both(value, other, lambda a, b: a // b, lambda a, b: Decimal(repr(float(_QUOTIENT.divide(a, b)))))


def modulo(rendering: Rendering, value: Number, other: Number) -> Result:
    """The remainder, with the sign of `other`."""
    if not other:
        raise LiquidError("modulo can't divide by 0", token=None)
    return _both(value, other, lambda a, b: a % b, _remainder)


def ceil(rendering: Rendering, value: Number) -> int:
    return value if isinstance(value, int) else int(value.to_integral_value(ROUND_CEILING))


def floor(rendering: Rendering, value: Number) -> int:
    return value if isinstance(value, int) else int(value.to_integral_value(ROUND_FLOOR))


def round_(rendering: Rendering, value: Number, digits: Number = 0) -> Result:
    """With no digits a whole number, with a negative count of them to tens, hundreds and so on."""
    places = int(digits)
    rounded = rounded_to(value, places)
    return int(rounded) if places == 0 or isinstance(value, int) else decimal_result(rounded)


def rounded_to(value: Number, places: int) -> Decimal:
    """The number with at most so many decimals, halves away from zero."""
    value = Decimal(value)
    places = max(-MAX_DIGITS - 1, min(places, MAX_DIGITS))
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and -exponent <= places:
        return value
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _EXACT)


def sum_of(rendering: Rendering, numbers: list[Number]) -> Result:
    """0 for none."""
    total: Number = 0
    for each in numbers:
        total = total + each if isinstance(total, int) and isinstance(each, int) else _EXACT.add(total, each)
    return _result(total)


def fixed(rendering: Rendering, value: object, places: int = 2) -> str:
    """A number with exactly so many decimals: `1234.50`. What is no number stays as it is."""
    found = number(value)
    return as_text(value, rendering) if found is None else f"{rounded_to(found, places):.{places}f}"


def money(rendering: Rendering, value: object, currency: str, locale: str = "en") -> str:
    """An amount as people of `locale` write it, by the CLDR: `€1,234.50`. What is no number stays as it is."""
    found = number(value)
    if found is None:
        return as_text(value, rendering)
    rendering.charge(_MONEY_UNITS)
    amount = rounded_to(found, get_currency_precision(currency))
    with localcontext(_EXACT):  # Babel computes in the context that there is
        return format_currency(amount, currency, locale=_locale(locale), decimal_quantization=False)


def is_currency(code: object) -> bool:
    """Whether this is a code of ISO 4217, in capitals."""
    return isinstance(code, str) and code in _currencies()


def is_locale(name: object) -> bool:
    """Whether the CLDR has this locale: `de`, `de_AT` or `de-AT`."""
    try:
        return isinstance(name, str) and len(name) < 40 and _locale(name) is not None
    except (UnknownLocaleError, ValueError, TypeError):
        return False


@lru_cache(maxsize=1)
def _currencies() -> frozenset[str]:
    return frozenset(list_currencies())


@lru_cache(maxsize=64)
def _locale(name: str) -> Locale:
    return Locale.parse(name.replace("-", "_"))


def _both(
    value: Number,
    other: Number,
    whole: Callable[[int, int], int],
    exact: Callable[[Decimal, Decimal], Decimal],
) -> Result:
    if isinstance(value, int) and isinstance(other, int):
        return checked(whole(value, other))
    return decimal_result(exact(Decimal(value), Decimal(other)))


def _remainder(value: Decimal, other: Decimal) -> Decimal:
    rest = _EXACT.remainder(value, other)
    return _EXACT.add(rest, other) if rest and (rest < 0) != (other < 0) else rest


def _result(value: Number) -> Result:
    return checked(value) if isinstance(value, int) else decimal_result(value)
