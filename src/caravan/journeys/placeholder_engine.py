"""Liquid, fenced in: which tags and filters there are, how names are found, and how long a template may work."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from io import StringIO
from time import thread_time
from typing import Any, TextIO

from liquid import Environment, Mode, RenderContext
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import FilterArgumentError, LiquidError
from liquid.output import LimitedStringIO
from liquid.stringify import to_liquid_string
from liquid.template import BoundTemplate
from liquid.token import Token
from liquid.undefined import UNDEFINED
from liquid.utils import ReadOnlyChainMap

MAX_OUTPUT = 1 << 20  # bytes of one rendered template
MAX_LOOPS = 10_000  # turns of all nested loops, multiplied
MAX_ITEMS = 10_000  # of a list that a filter is used on
MAX_DIGITS = 300  # of a number that a filter makes
MAX_SECONDS = 1.0  # of the processor, for one rendering

_TAG_NAMES = """
if unless case for break continue assign capture comment raw cycle increment decrement echo liquid #
"""
# Left out: what is quadratic (uniq, strip_html) and what mails don't need.
_FILTER_NAMES = """
abs append at_least at_most base64_encode capitalize ceil compact concat date default divided_by downcase escape
escape_once first floor join last lstrip map minus modulo newline_to_br plus prepend raw remove remove_first
replace replace_first reverse round rstrip safe size slice sort sort_natural split squish strip strip_newlines
sum times truncate truncatewords upcase url_decode url_encode where
"""
# These neither make a text longer nor go through a list, so they need no guard.
_CHEAP_NAMES = """
abs at_least at_most capitalize ceil date default downcase first floor last lstrip raw remove remove_first
rstrip safe size squish strip strip_newlines truncate truncatewords upcase
"""
TAGS = frozenset(_TAG_NAMES.split())
_INTERNAL_TAGS = frozenset({"content", "output", "illegal"})
FILTERS = frozenset(_FILTER_NAMES.split())
_CHEAP = frozenset(_CHEAP_NAMES.split())


@dataclass(frozen=True, slots=True)
class ContactView:
    """What a template sees of a contact: its id and its properties (JSON values)."""

    id: str
    properties: Mapping[str, Any]


def find(names: Mapping[str, Any], name: str) -> Any:
    """The value with this name, else the first one whose name differs only in case. Raises KeyError."""
    try:
        return names[name]
    except KeyError:
        folded = name.casefold()
        for each in names:
            if each.casefold() == folded:
                return names[each]
        raise


class ContactNames(Mapping[str, object]):
    """`contact`: its id, then its properties."""

    __slots__ = ("_id", "_properties")

    def __init__(self, contact: ContactView) -> None:
        self._id, self._properties = contact.id, contact.properties

    def __getitem__(self, name: str) -> object:
        if name == "id":
            return self._id
        try:
            return find(self._properties, name)
        except KeyError:
            if name.casefold() == "id":
                return self._id
            raise

    def __iter__(self) -> Iterator[str]:
        return iter({"id": None, **self._properties})

    def __len__(self) -> int:
        return len({"id", *self._properties})


class Names(ContactNames):
    """All names that a template starts with: `contact`, and what is in it."""

    __slots__ = ("_contact",)

    def __init__(self, contact: ContactView) -> None:
        super().__init__(contact)
        self._contact = contact

    def __getitem__(self, name: str) -> object:
        if name == "contact":
            return ContactNames(self._contact)
        try:
            return super().__getitem__(name)
        except KeyError:
            if name.casefold() == "contact":
                return ContactNames(self._contact)
            raise


class Context(RenderContext):
    """One rendering for one contact."""

    __slots__ = ("_ends_at", "_length", "_names")

    def __init__(self, template: BoundTemplate, contact: ContactView) -> None:
        # Instead of the parent's, which takes longer than a short template: no partials, no inheritance here.
        self.env = template.env
        self.template = template
        self.autoescape = template.env.autoescape
        self.locals, self.counters, self.globals = {}, {}, {}
        self.tag_namespace = {"cycles": {}, "stopindex": {}}
        self.loops, self.disabled_tags, self.parent_context = [], [], None
        self._copy_depth, self.loop_iteration_carry, self.local_namespace_size_carry = 0, 1, 0
        self._names = Names(contact)
        # Without Liquid's own `now` and `today`: they read the machine's clock (law 5).
        self.scope = ReadOnlyChainMap(self.locals, self._names, self.counters)
        self._ends_at: float | None = None
        self._length = 0

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        if len(path) == 1 and not self.locals and self.scope.size() == 3 and isinstance(path[0], str):
            try:
                return self._names[path[0]]
            except KeyError:
                pass
        return super().get(path, token=token, default=default)

    def get_item(self, obj: Any, key: Any) -> Any:
        if isinstance(obj, Mapping) and isinstance(key, str):
            try:
                return find(obj, key)
            except KeyError:
                if key == "size":
                    return len(obj)
                raise
        return super().get_item(obj, key)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """For what is printed, within what `buf` has left. Liquid's own would make \\n of each \\r."""
        taken = buf.size if isinstance(buf, LimitedStringIO) else 0
        return LimitedStringIO(limit=MAX_OUTPUT - taken, newline="")

    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Any:
        forloop.it = self._watched(forloop.it)
        return super().loop(namespace, forloop)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        if name not in _CHEAP:
            self.check_time()
        return super().filter(name, token)

    def check_time(self) -> None:
        """Raise if this rendering has used up its time. The clock starts with the first question."""
        now = thread_time()
        if self._ends_at is None:
            self._ends_at = now + MAX_SECONDS
        elif now > self._ends_at:
            raise LiquidError("it takes too long", token=None)

    def grow(self, length: int) -> None:
        """Raise if the values that this is told of come to more characters than a rendering may have bytes."""
        self._length += length
        if self._length > MAX_OUTPUT:
            raise LiquidError(f"the text becomes longer than {MAX_OUTPUT} bytes", token=None)

    def _watched(self, items: Iterator[Any]) -> Iterator[Any]:
        for each in items:
            self.check_time()
            yield each


def to_text(value: object, autoescape: bool) -> str:
    """A value as it is printed: JSON for an object, and what Liquid does for the rest."""
    if isinstance(value, ContactNames | dict):
        value = json.dumps(dict(value), ensure_ascii=False)
    return to_liquid_string(value, autoescape)


class _OutputNode(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(to_text(self.expression.evaluate(context), context.autoescape))


class _Output(Output):
    node_class = _OutputNode


class _Template(BoundTemplate):
    def make_partial_namespace(self, partial: bool, render_args: Mapping[str, object]) -> Mapping[str, object]:
        """Nothing: Liquid's own `partial` would hide a property of that name."""
        return {}


class _Environment(Environment):
    template_class = _Template
    block_nesting_limit = 20
    loop_iteration_limit = MAX_LOOPS
    local_namespace_limit = 4 * MAX_OUTPUT


def make_environment(html: bool) -> Environment:
    """Liquid with our tags and filters only; `html` escapes every value that is not marked `raw` or `safe`."""
    environment = _Environment(tolerance=Mode.STRICT, strict_filters=True, autoescape=html)
    environment.add_filter("date", _date)
    environment.add_filter("raw", environment.filters["safe"])
    environment.add_tag(_Output)
    environment.tags = {name: tag for name, tag in environment.tags.items() if name in TAGS or name in _INTERNAL_TAGS}
    known = environment.filters
    environment.filters = {name: known[name] if name in _CHEAP else _guarded(name, known[name]) for name in FILTERS}
    return environment


def _date(value: object, pattern: object = "") -> str:
    """A date or time in ISO 8601, written like `pattern` (strftime); anything else stays as it is."""
    text = "" if value is None else str(value)
    try:
        return datetime.fromisoformat(text.strip()).strftime(str(pattern)) if pattern else text
    except ValueError:
        return text


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, with limits on what goes into it and what comes out."""

    @wraps(function)
    def guarded(value: Any, *arguments: Any, **options: Any) -> Any:
        for each in (value, *arguments):
            _check_size(each)
        if arguments and isinstance(arguments[0], str) and name in _GROWTH:
            _check_growth(_GROWTH[name](value, *arguments))
        result = function(value, *arguments, **options)
        _check_size(result)
        return result

    return guarded


def _check_size(value: object) -> None:
    if isinstance(value, str):
        _check_growth(len(value))
    elif isinstance(value, range | list | tuple):
        # Not len(): that of a long range overflows.
        if value[MAX_ITEMS : MAX_ITEMS + 1]:
            raise FilterArgumentError(f"a list has more than {MAX_ITEMS} items", token=None)
    elif isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise FilterArgumentError(f"a number has more than {MAX_DIGITS} digits", token=None)


def _check_growth(length: int) -> None:
    if length > MAX_OUTPUT:
        raise FilterArgumentError(f"a text becomes longer than {MAX_OUTPUT} characters", token=None)


def _replaced(value: object, old: str, new: object = "", *_: object) -> int:
    return len(str(value)) + str(value).count(old) * len(str(new))


def _joined(value: object, separator: str, *_: object) -> int:
    items: Sequence[object] = value if isinstance(value, list | tuple | range) else [value]
    return sum(len(str(each)) for each in items) + len(items) * len(separator)


_GROWTH: dict[str, Callable[..., int]] = {"replace": _replaced, "join": _joined}
