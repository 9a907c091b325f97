"""How much a rendering may make and work, and the problems with what is more."""

from typing import Final

from liquid.exceptions import LiquidError

MAX_OUTPUT: Final = 1 << 20  # bytes of one rendered template, and characters of each text on the way to it
MAX_ITEMS: Final = 10_000  # of a list that a filter is used on
MAX_DIGITS: Final = 300  # of a number, before the decimal point or after it
MAX_LOOPS: Final = 10_000  # turns of all nested loops, multiplied
MAX_LOCALS: Final = 4 * MAX_OUTPUT  # bytes of all variables
MAX_SECONDS: Final = 1.0  # of the processor, for one rendering
MAX_UNITS: Final = 20_000_000  # of work, 50 ns each: as much as a second is good for, and the same on every machine
LONG: Final = 100  # characters; what is shorter costs no more than the call that handles it


def output_too_long() -> LiquidError:
    """The problem with a rendering that grows."""
    return LiquidError(f"the text becomes longer than {MAX_OUTPUT} bytes", token=None)


def text_too_long() -> LiquidError:
    """The problem with a text that grows on the way."""
    return LiquidError(f"a text becomes longer than {MAX_OUTPUT} characters", token=None)


def too_many_items() -> LiquidError:
    """The problem with a list that is too long for a filter."""
    return LiquidError(f"a list has more than {MAX_ITEMS} items", token=None)


def too_many_digits() -> LiquidError:
    """The problem with a number that is too large."""
    return LiquidError(f"a number has more than {MAX_DIGITS} digits", token=None)
