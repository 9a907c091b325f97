"""Liquid, fenced in: which tags there are, how names are found, and how much a template may work."""

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from io import StringIO
from time import thread_time
from typing import Any, Final, TextIO

from liquid import Environment, Mode, RenderContext
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.cycle_tag import CycleNode, CycleTag
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.template import BoundTemplate
from liquid.token import Token
from liquid.undefined import UNDEFINED, Undefined
from liquid.utils import ReadOnlyChainMap

from caravan.journeys.placeholders.contact import ContactView, Names, find
from caravan.journeys.placeholders.limits import (
    LONG,
    MAX_LOCALS,
    MAX_LOOPS,
    MAX_OUTPUT,
    MAX_SECONDS,
    MAX_UNITS,
    output_too_long,
)
from caravan.journeys.placeholders.values import as_text, printed

_UNITS_A_LOOK: Final = 20_000  # at the clock

_TAG_NAMES = """
if unless case for break continue assign capture comment raw cycle increment decrement echo liquid #
"""
TAGS = frozenset(_TAG_NAMES.split())
_INTERNAL_TAGS = frozenset({"content", "output", "illegal"})
_NOTHING: Final = Undefined("")


class Context(RenderContext):
    """One rendering for one contact. It is the `Rendering` that filters and comparisons work for.

    What it counts: work in units (`charge`), the processor's time, the length of the text and the size of variables.
    Between two looks at the clock there is at most one pass over the template's own text.
    """

    __slots__ = ("_contact", "_ends_at", "_left", "_length", "_names", "_sizes", "_spent", "empty")

    def __init__(self, template: BoundTemplate, contact: ContactView) -> None:
        # Instead of the parent's, which takes longer than a short template: no partials, no inheritance here.
        # tests/unit/journeys/test_placeholders_liquid.py fails if the parent has something else.
        self.env = template.env
        self.template = template
        self.autoescape = template.env.autoescape
        self.locals, self.counters, self.globals = {}, {}, {}
        self.tag_namespace = {"cycles": {}, "stopindex": {}}
        self.loops, self.disabled_tags, self.parent_context = [], [], None
        self._copy_depth, self.loop_iteration_carry, self.local_namespace_size_carry = 0, 1, 0
        self._contact = contact
        self._names = Names(contact)
        self.empty = contact.empty
        # Without Liquid's own `now` and `today`: they read the machine's clock.
        self.scope = ReadOnlyChainMap(self.locals, self._names, self.counters)
        self._ends_at: float | None = None
        self._left, self._spent, self._length = _UNITS_A_LOOK, 0, 0
        self._sizes: dict[str, int] | None = None

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        root = path[0]
        try:
            if len(path) == 1 and not self.locals and self.scope.size() == 3:
                return self._names[root]  # type: ignore[index]
            value = self.scope[root]  # type: ignore[index]
            for segment in path[1:]:
                value = self.get_item(value, segment)
        except (KeyError, TypeError, IndexError, AttributeError):  # AttributeError: `[1]`, which is no name
            if len(path) == 1 and isinstance(root, str) and root in self.counters:
                return self.counters[root]
            return _NOTHING if default is UNDEFINED else default
        return value

    def get_item(self, obj: Any, key: Any) -> Any:
        if not isinstance(obj, Mapping) or not isinstance(key, str):
            return super().get_item(obj, key)
        if len(key) > LONG:
            self.charge(len(key))
        try:
            return obj[key]
        except KeyError:
            self.charge(4 * len(obj))
        try:
            return find(obj, key)
        except KeyError:
            if key in ("size", "first", "last"):
                return super().get_item(obj, key)
            raise

    def assign(self, key: str, val: Any) -> None:
        # The parent adds up all variables each time.
        if self._sizes is None:
            self._sizes = {}
        self.locals[key] = val
        self._sizes.pop(key, None)
        self._sizes[key] = sys.getsizeof(val, 1)
        self.local_namespace_size_carry += self._sizes[key]
        if self.local_namespace_size_carry > MAX_LOCALS:
            self.local_namespace_size_carry = sum(self._sizes.values())
            self.charge(10 * len(self._sizes))
            if self.local_namespace_size_carry > MAX_LOCALS:
                raise LiquidError(f"the variables take more than {MAX_LOCALS} bytes", token=None)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """For what is printed, within what `buf` has left. Liquid's own would make \\n of each \\r."""
        return Buffer(MAX_OUTPUT - buf.size if isinstance(buf, Buffer) else MAX_OUTPUT)

    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Any:
        forloop.it = self._watched(forloop.it)
        return super().loop(namespace, forloop)

    def charge(self, units: int) -> None:
        """Count work, in units of about 50 ns. Raises `LiquidError` if this rendering works too much or too long."""
        self._left -= units
        if self._left < 0:
            self._spent += _UNITS_A_LOOK - self._left
            self._left = _UNITS_A_LOOK
            self.check_time()

    def check_time(self) -> None:
        """Raise if this rendering has used up its time. The clock starts with the first question."""
        now = thread_time()
        if self._ends_at is None:
            self._ends_at = now + MAX_SECONDS
        if now > self._ends_at or self._spent > MAX_UNITS:
            raise LiquidError("it takes too long", token=None)

    def grow(self, length: int) -> None:
        """Raise if the values that this is told of come to more characters than a rendering may have bytes."""
        self._length += length
        if self._length > MAX_OUTPUT:
            raise output_too_long()

    def moment(self) -> datetime:
        return self._contact.moment()

    def _watched(self, items: Iterator[Any]) -> Iterator[Any]:
        for each in items:
            self.charge(20)
            self.check_time()
            yield each


class Buffer(StringIO):
    """What is printed, up to so many bytes. Raises `LiquidError` beyond them."""

    def __init__(self, limit: int) -> None:
        super().__init__(newline="")
        self._limit, self.size = limit, 0

    def write(self, text: str) -> int:
        self.size += len(text) if text.isascii() else len(text.encode(errors="replace"))
        if self.size > self._limit:
            raise output_too_long()
        return super().write(text)


def placeholder(expression: Expression) -> str:
    """What an output prints, as it is written, but for its filters and for `contact.` before a property."""
    return str(expression).removeprefix("contact.")


class _OutputNode(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        try:
            text = printed(self.expression.evaluate(context), context)  # type: ignore[arg-type]
        except LiquidError as error:
            error.token = error.token or self.token
            raise
        if context.empty is not None and not text.strip():  # type: ignore[attr-defined]
            context.empty.add(placeholder(self.expression))  # type: ignore[attr-defined]
        return buffer.write(text)


class _Output(Output):
    node_class = _OutputNode


class _EchoNode(EchoNode):
    render_to_output = _OutputNode.render_to_output


class _Echo(EchoTag):
    node_class = _EchoNode


class _CycleNode(CycleNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        # The group is named, or is all cycles with the same values.
        values = [each.evaluate(context) for each in self.args]
        named = [self.group.evaluate(context)] if self.group else values
        texts = [as_text(each, context) for each in named]  # type: ignore[arg-type]
        context.charge(sum(map(len, texts)))  # type: ignore[attr-defined]
        at = context.cycle((self.group is None, *texts), len(values))
        return buffer.write(printed(values[at], context)) if at < len(values) else 0  # type: ignore[arg-type]


class _Cycle(CycleTag):
    node_class = _CycleNode


class _Template(BoundTemplate):
    def make_partial_namespace(self, partial: bool, render_args: Mapping[str, object]) -> Mapping[str, object]:
        """Nothing: Liquid's own `partial` would hide a property of that name."""
        return {}


class _Environment(Environment):
    template_class = _Template
    block_nesting_limit = 20
    loop_iteration_limit = MAX_LOOPS


def make_environment(html: bool) -> Environment:
    """Liquid with our tags only; `html` escapes every value that is not marked `raw` or `safe`."""
    environment = _Environment(tolerance=Mode.STRICT, autoescape=html)
    for tag in (_Output, _Echo, _Cycle):
        environment.add_tag(tag)
    environment.tags = {name: tag for name, tag in environment.tags.items() if name in TAGS or name in _INTERNAL_TAGS}
    return environment
