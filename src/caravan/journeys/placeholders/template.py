"""A template: read once, with every mistake told, and filled in for each contact."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from liquid import Environment, RenderContext
from liquid.exceptions import LiquidError
from liquid.template import BoundTemplate

from caravan.errors import InvalidInput, RenderFailed
from caravan.journeys.placeholders.contact import ContactView
from caravan.journeys.placeholders.engine import TAGS, Context, make_environment
from caravan.journeys.placeholders.expressions import bind
from caravan.journeys.placeholders.filters import Misused
from caravan.journeys.placeholders.limits import MAX_OUTPUT, output_too_long
from caravan.journeys.placeholders.parts import Block

Given = ParamSpec("Given")
Result = TypeVar("Result")
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
        return self.text if self._liquid is None else _tried(self._render, self._liquid, contact)

    def value(self, contact: ContactView) -> Any:
        """What JSON has for this contact: of a template that is one placeholder and nothing else, its value with its
        type (None for nothing), else the text. Raises `RenderFailed` with one sentence."""
        if self._liquid is None:
            return self.text
        sole = None if self._quick is None else self._quick.sole
        if sole is None:
            return _tried(self._render, self._liquid, contact)
        return _tried(sole.json, Context(self._liquid, contact))

    def _render(self, liquid: BoundTemplate, contact: ContactView) -> str:
        context = Context(liquid, contact)
        if self._quick is None:
            buffer = context.get_buffer()
            liquid.render_with_context(context, buffer)
            return buffer.getvalue()
        result = self._quick.fill(context)
        if len(result) * 4 > MAX_OUTPUT and len(result.encode(errors="replace")) > MAX_OUTPUT:
            raise output_too_long()
        return result


def _tried(render: Callable[Given, Result], /, *given: Given.args, **named: Given.kwargs) -> Result:
    """What `render` gives. Raises `RenderFailed`, and nothing else."""
    try:
        return render(*given, **named)
    except LiquidError as error:
        raise RenderFailed(f"A placeholder can't be filled: {_sentence(error)}.") from None
    except RecursionError:
        raise RenderFailed("A placeholder can't be filled: a value or a condition is nested too deeply.") from None
    except Exception:  # what no filter foresees must fail one contact, and not the batch
        raise RenderFailed("A placeholder can't be filled: a filter can't work with its value.") from None


_PLAIN, _HTML = make_environment(html=False), make_environment(html=True)


def compile_template(text: str, *, html: bool = False) -> Template:
    """Read a template; `html` escapes each value that is not marked with the filter `raw` or `safe`.

    Raises `InvalidInput` with one sentence, and with the line in the template if it is known.
    """
    if len(text) > MAX_TEMPLATE:
        raise InvalidInput(f"the template is longer than {MAX_TEMPLATE} characters")
    if "{{" not in text and "{%" not in text:
        return Template(text, text, frozenset(), None, None)
    liquid, names = _parse(text, _HTML if html else _PLAIN)
    return Template(text, None, names, liquid, Block.of(liquid.nodes))


def _parse(text: str, environment: Environment) -> tuple[BoundTemplate, frozenset[str]]:
    """The template, and the names that it takes from the contact."""
    try:
        liquid = environment.from_string(text)
        names = frozenset(liquid.analyze().globals)
        bind(liquid.nodes, RenderContext(liquid), html=environment.autoescape)
    except Misused as error:
        raise InvalidInput(_sentence(error)) from None
    except LiquidError as error:
        raise InvalidInput(f"the template can't be read: {_problem(error)}") from None
    except RecursionError:
        raise InvalidInput("the template can't be read: it is nested too deeply") from None
    return liquid, names


def _problem(error: LiquidError) -> str:
    if isinstance(error.__cause__, RecursionError):
        return "it is nested too deeply"
    if isinstance(error.__cause__, LiquidError):
        return _sentence(error.__cause__)
    what = _sentence(error)
    if tag := re.match(r"unexpected tag '(\w+)'", what):
        return f"there is no tag {tag[1]} here; there are {', '.join(sorted(TAGS - {'#'}))}"
    return what


def _sentence(error: LiquidError) -> str:
    try:
        place = error.context()
    except ValueError:  # at the very end of the template
        place = None
    return f"{error.message}" + (f" (line {place[0]} of the template)" if place else "")
