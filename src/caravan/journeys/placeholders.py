"""Placeholders: Liquid templates over one contact."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from liquid import Environment
from liquid.exceptions import LiquidError
from liquid.template import BoundTemplate

from caravan.errors import InvalidInput, RenderFailed
from caravan.journeys.placeholder_engine import (
    FILTERS,
    MAX_OUTPUT,
    TAGS,
    ContactView,
    Context,
    make_environment,
)
from caravan.journeys.placeholder_parts import Block

__all__ = ["ContactView", "Template", "compile_template"]

MAX_TEMPLATE = 1 << 19  # characters


@dataclass(frozen=True, slots=True)
class Template:
    """A template that has been read. `constant` is its text if it is the same for everyone, else None.

    `names` are the names that it takes from the contact, as written, nested ones by their first part.
    """

    text: str
    constant: str | None
    names: frozenset[str]
    _liquid: BoundTemplate | None
    _quick: Block | None  # where the quick way is enough

    def render(self, contact: ContactView) -> str:
        """The text for this contact. Raises `RenderFailed` with one sentence."""
        if self._liquid is None:
            return self.text
        try:
            return self._render(self._liquid, contact)
        except LiquidError as error:
            raise RenderFailed(f"A placeholder can't be filled: {_sentence(error)}.") from None
        except Exception as error:  # a filter's arithmetic, Python's own limits
            raise RenderFailed(f"A placeholder can't be filled: {type(error).__name__}: {error}.") from None

    def _render(self, liquid: BoundTemplate, contact: ContactView) -> str:
        context = Context(liquid, contact)
        if self._quick is None:
            buffer = context.get_buffer()
            liquid.render_with_context(context, buffer)
            return buffer.getvalue()
        result = self._quick.fill(context)
        if len(result) * 4 > MAX_OUTPUT and len(result.encode(errors="replace")) > MAX_OUTPUT:
            raise LiquidError(f"the text becomes longer than {MAX_OUTPUT} bytes", token=None)
        return result


_PLAIN, _HTML = make_environment(html=False), make_environment(html=True)


def compile_template(text: str, *, html: bool = False) -> Template:
    """Read a template; `html` escapes each value that is not marked with the filter `raw` or `safe`.

    Raises `InvalidInput` with one sentence, and with the line in the template if it is known.
    """
    if len(text) > MAX_TEMPLATE:
        raise InvalidInput(f"the template is longer than {MAX_TEMPLATE} characters")
    if "{{" not in text and "{%" not in text:
        return Template(text, text, frozenset(), None, None)
    liquid = _parse(text, _HTML if html else _PLAIN)
    analysis = liquid.analyze()
    for name, spans in analysis.filters.items():
        if name not in FILTERS:
            line = text.count("\n", 0, spans[0].index) + 1
            close = ", ".join(get_close_matches(name, FILTERS, 1))
            hint = f"; did you mean {close}?" if close else f"; there are {', '.join(sorted(FILTERS))}"
            raise InvalidInput(f"there is no filter {name}{hint} (line {line} of the template)")
    return Template(text, None, frozenset(analysis.globals), liquid, Block.of(liquid.nodes))


def _parse(text: str, environment: Environment) -> BoundTemplate:
    try:
        return environment.from_string(text)
    except LiquidError as error:
        what = _sentence(error)
        if isinstance(error.__cause__, RecursionError):
            what = "it is nested too deeply"
        if tag := re.match(r"unexpected tag '(\w+)'", what):
            what = f"there is no tag {tag[1]} here; there are {', '.join(sorted(TAGS - {'#'}))}"
        raise InvalidInput(f"the template can't be read: {what}") from None


def _sentence(error: LiquidError) -> str:
    try:
        place = error.context()
    except ValueError:  # at the very end of the template
        place = None
    return f"{error.message}" + (f" (line {place[0]} of the template)" if place else "")
