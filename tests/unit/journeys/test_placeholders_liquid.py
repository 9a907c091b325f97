"""What placeholders rely on in python-liquid beyond its documented interface.

If one of these fails after an upgrade, read what changed there, adapt `caravan.journeys.placeholders`, and move the
bounds in pyproject.toml.
"""

import inspect
import re
from importlib.metadata import version

import pytest
from liquid import Environment, RenderContext
from liquid.ast import ConditionalBlockNode
from liquid.builtin.expressions import BooleanExpression, FilteredExpression, LoopExpression, Path
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalNotExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.cycle_tag import CycleNode
from liquid.builtin.tags.echo_tag import EchoNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from caravan.journeys.placeholders import ContactView
from caravan.journeys.placeholders.engine import TAGS, Context, make_environment
from caravan.journeys.placeholders.expressions import bind

CHANGED = f"python-liquid {version('python-liquid')} is not what placeholders were written for: "


def test_our_context_has_all_that_a_context_of_liquid_has() -> None:
    template = make_environment(html=False).from_string("")
    liquids, ours = RenderContext(template), Context(template, ContactView("1", {}))
    missing = [slot for slot in RenderContext.__slots__ if not hasattr(ours, slot)]
    assert not missing, f"{CHANGED}Context.__init__ must set {missing}"
    same = ("copy_depth", "loop_iteration_carry", "parent_context", "disabled_tags", "loops", "autoescape", "counters")
    for slot in (f"_{each}" if each == "copy_depth" else each for each in same):
        assert getattr(ours, slot) == getattr(liquids, slot), f"{CHANGED}RenderContext.{slot} begins with another value"


def test_a_context_of_liquid_has_no_new_attributes() -> None:
    known = {
        *("_copy_depth", "autoescape", "counters", "disabled_tags", "env", "globals", "local_namespace_size_carry"),
        *("locals", "loop_iteration_carry", "loops", "parent_context", "scope", "tag_namespace", "template"),
    }
    assert set(RenderContext.__slots__) == known, f"{CHANGED}see whether Context.__init__ must set the new attributes"


def test_the_namespaces_of_tags_that_we_leave_out_belong_to_tags_that_we_leave_out() -> None:
    template = make_environment(html=False).from_string("")
    left_out = set(RenderContext(template).tag_namespace) - set(Context(template, ContactView("1", {})).tag_namespace)
    assert left_out == {"ifchanged", "extends", "macros"}, f"{CHANGED}a tag keeps its state in a new namespace"


@pytest.mark.parametrize(
    ("kind", "slots"),
    [
        (OutputNode, {"expression"}),
        (EchoNode, {"expression"}),
        (AssignNode, {"expression"}),
        (CycleNode, {"group", "args"}),
        (IfNode, {"condition", "consequence", "alternatives", "default"}),
        (UnlessNode, {"condition", "consequence", "alternatives", "default"}),
        (ConditionalBlockNode, {"block", "expression"}),
        (CaseNode, {"expression", "blocks"}),
        (MultiExpressionBlockNode, {"block", "expression"}),
        (ForNode, {"expression", "block", "default"}),
        (FilteredExpression, {"left", "filters"}),
        (Filter, {"name", "args", "token"}),
        (BooleanExpression, {"expression"}),
        (LogicalAndExpression, {"left", "right"}),
        (LogicalOrExpression, {"left", "right"}),
        (LogicalNotExpression, {"right"}),
        *((each, {"left", "right"}) for each in (EqExpression, NeExpression, LtExpression, LeExpression)),
        *((each, {"left", "right"}) for each in (GtExpression, GeExpression, ContainsExpression)),
        (RangeLiteral, {"start", "stop"}),
        (LoopExpression, {"identifier", "iterable", "limit", "offset", "reversed"}),
        (Path, {"path"}),
    ],
)
def test_the_parts_of_a_template_are_kept_where_bind_looks_for_them(kind: type, slots: set[str]) -> None:
    kept = {slot for each in kind.__mro__ for slot in getattr(each, "__slots__", ())}
    assert slots <= kept, f"{CHANGED}{kind.__name__} keeps its parts in {sorted(kept)}"


EVERY_TAG = """
{% assign a = b | upcase %}{{ b | join: c[d] }}{% echo b | size %}{% cycle g: a, (1..b) %}{% capture x %}{{ b }}
{% endcapture %}{% if a == b and c > 1 or d %}{% elsif a contains b %}{% else %}{{ b }}{% endif %}
{% unless a <= b %}{% elsif a != b %}{% endunless %}{% case a %}
{% when b, (1..c) %}{{ b }}{% else %}{{ b }}{% endcase %}
{% for i in (a..b) limit: c offset: d reversed %}{{ i | date: a }}{% break %}{% continue %}{% else %}{{ a }}{% endfor %}
{% for i in a offset: continue %}{% endfor %}{% comment %}{% endcomment %}{% raw %}{% endraw %}{% increment n %}
{% decrement n %}{% liquid
assign z = a | append: b
if z >= 'm'
  echo z | prepend: 'x'
endif
%}
"""


def _expressions(found: object, seen: set[int]) -> list[object]:
    """Every expression that hangs below a node, wherever it is kept."""
    if id(found) in seen or isinstance(found, str | int | float | type(None)):
        return []
    seen.add(id(found))
    if isinstance(found, list | tuple):
        return [each for item in found for each in _expressions(item, seen)]
    slots = {slot for each in type(found).__mro__ for slot in getattr(each, "__slots__", ()) if slot != "token"}
    below = [each for slot in slots for each in _expressions(getattr(found, slot, None), seen)]
    return [found, *below] if isinstance(found, Expression) else below


def test_nothing_of_liquids_that_works_without_a_limit_is_left_in_a_template() -> None:
    assert set(re.findall(r"{%\s*(\w+)", EVERY_TAG)) >= TAGS - {"#"}
    template = make_environment(html=False).from_string(EVERY_TAG)
    before = {type(each) for each in _expressions(template.nodes, set())}
    bind(template.nodes, RenderContext(template), html=False)
    left = {type(each) for each in _expressions(template.nodes, set()) if type(each).__module__.startswith("liquid")}
    replaced = {EqExpression, GtExpression, ContainsExpression, LeExpression, NeExpression, GeExpression, RangeLiteral}
    assert replaced | {FilteredExpression, LoopExpression} <= before
    allowed = {"BooleanExpression", "LogicalAndExpression", "LogicalOrExpression", "Path"}
    allowed |= {
        "StringLiteral",
        "IntegerLiteral",
        "FloatLiteral",
        "TrueLiteral",
        "FalseLiteral",
        "Nil",
        "Empty",
        "Blank",
    }
    assert {each.__name__ for each in left} <= allowed, f"{CHANGED}bind() leaves {left} in a template"


def test_templates_are_rendered_and_parsed_through_the_methods_that_we_replace() -> None:
    for name in ("get", "get_item", "assign", "get_buffer", "loop"):
        ours = list(inspect.signature(getattr(Context, name)).parameters)
        assert ours == list(inspect.signature(getattr(RenderContext, name)).parameters), (
            f"{CHANGED}RenderContext.{name}"
        )
    for name in ("loop_iteration_limit", "block_nesting_limit", "template_class"):
        assert hasattr(Environment, name), f"{CHANGED}Environment has no {name}"
