"""How values are written and compared: with Liquid's words wherever a value is printed, and never with Python's."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.errors import RenderFailed
from caravan.journeys.placeholders import ContactView, compile_template
from caravan.journeys.placeholders.filters import FILTERS
from caravan.journeys.placeholders.kinds import read_text
from tests.examples import many

NINA = ContactView(
    "1",
    {
        "first": "Nina",
        "last": None,
        "vip": True,
        "off": False,
        "tags": ["a", None, True, 1.5, {"b": None}, ["c", False]],
        "obj": {"a": None, "b": [True, "ü"]},
        "tiny": 1e-7,
        "large": 1e22,
        "one": 1.0,
        "space": " \n",
        "none": [],
        "hollow": {},
    },
)
JSON = '["a", null, true, 1.5, {"b": null}, ["c", false]]'


def fill(template: str, contact: ContactView = NINA, *, html: bool = False) -> str:
    return compile_template(template, html=html).render(contact)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ first | append: ' ' | append: last }}", "Nina "),
        ("{{ last | prepend: missing | append: nil }}", ""),
        ("{{ tags | join: ', ' }}", 'a, , true, 1.5, {"b": null}, c, false'),
        ("{{ tags }}", 'atrue1.5{"b": null}cfalse'),
        ("{% echo tags %}{% cycle tags, 'x' %}", 'atrue1.5{"b": null}cfalse' * 2),
        ("{{ tags | append: '!' }}", JSON + "!"),
        ("{{ 'x' | append: tags }}", "x" + JSON),
        ("{{ 'x' | append: vip | append: off | append: obj }}", 'xtruefalse{"a": null, "b": [true, "ü"]}'),
        ("{{ 'true,x' | replace: vip, off | remove: 'x' }}", "false,"),
        ("{{ 'x' | replace: 'x', last }}", ""),
        ("{{ vip | upcase }} {{ off | capitalize }}", "TRUE False"),
        ("{{ obj | size }} {{ vip | size }} {{ tags | first }} {{ obj | first }}", "2 0 a a"),
        (
            "{% for pair in obj %}[{{ pair }}|{{ pair[0] }}|{{ pair | join: '=' }}]{% endfor %}",
            "[a|a|a=][btrueü|b|b=true=ü]",
        ),
        ("{{ (1..3) }} {{ (1..3) | join: '-' }} {{ (1..3) | append: '' }}", "1..3 1-2-3 1..3"),
        (
            "{{ tiny }} {{ large }} {{ one }} {{ tiny | append: '' }}",
            "0.0000001 10000000000000000000000.0 1.0 0.0000001",
        ),
        ("{{ tags | map: 'b' | join: '/' }}|{{ tags | compact | size }}", "//////|6"),
        (
            "[{{ hollow }}{{ empty }}{{ blank }}]{% for i in (1..1) %}[{{ forloop }}]{{ forloop.name }}{% endfor %}",
            "[{}][]i-(1..1)",
        ),
        ("{{ tags | sort_natural | join: ',' }}", '1.5,a,c,false,true,{"b": null},'),
        ("{{ last | date: '%Y' }}{{ vip | date: '%Y' }}{{ last | default: 'x' }}{{ off | default: 'y' }}", "truexy"),
        ("{{ off | default: 'y', allow_false: true }}{{ none | default: 'z' }}{{ hollow | default: 'z' }}", "falsezz"),
        ("{{ vip | split: '' | join: '.' }}", "t.r.u.e"),
        ("{{ contact | append: '' | slice: 0, 8 }}", '{"id": "'),
        ("{% capture x %}{{ last }}{{ vip }}{% endcapture %}{{ x }}", "true"),
    ],
)
def test_values_are_written_in_liquids_words(template: str, text: str) -> None:
    assert fill(template) == text
    assert fill(template.replace("{{", "{% if true %}{{").replace("}}", "}}{% endif %}")) == text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=6,
)


def as_liquid(value: Any) -> str:
    """The text of a value, said once more."""
    if value is None:
        return ""
    if isinstance(value, float):
        whole, _, rest = f"{Decimal(repr(value)):f}".partition(".")
        return f"{whole}.{rest.rstrip('0') or '0'}"
    return json.dumps(value)


@settings(deadline=None, max_examples=many(500))
@given(
    name=st.sampled_from(sorted(name for name, each in FILTERS.items() if each.value is read_text)),
    value=values,
    other=values,
    html=st.booleans(),
)
def test_each_filter_of_texts_treats_any_value_as_its_text(name: str, value: Any, other: Any, html: bool) -> None:
    takes = list(FILTERS[name].arguments.values())[: FILTERS[name].required]
    template = f"{{{{ a | {name}" + (": " + ", ".join("b" for _ in takes) if takes else "") + " }}"
    texts = ContactView("1", {"a": as_liquid(value), "b": as_liquid(other)})
    assert fill(template, ContactView("1", {"a": value, "b": other}), html=html) == fill(template, texts, html=html)


@settings(deadline=None)
@given(items=st.lists(values.filter(lambda value: not isinstance(value, list)), max_size=4))
def test_the_items_of_a_list_are_written_like_values(items: list[Any]) -> None:
    contact = ContactView("1", {"a": items})
    assert fill("{{ a | join: '|' }}", contact) == "|".join(map(as_liquid, items))
    assert fill("{{ a }}", contact) == "".join(map(as_liquid, items))


@pytest.mark.parametrize(
    ("condition", "true"),
    [
        *(
            (f"{each} == blank", True)
            for each in ("last", "missing", "nil", "off", "space", "none", "hollow", "''", "false")
        ),
        *((f"blank == {each}", True) for each in ("last", "space", "none")),
        *((f"{each} == blank", False) for each in ("vip", "tiny", "first", "tags", "0", "true")),
        *((f"{each} == empty", True) for each in ("none", "hollow", "''")),
        *((f"{each} == empty", False) for each in ("last", "missing", "off", "space", "vip", "tags", "nil")),
        ("last != blank", False),
        ("vip == 1", False),
        ("1 == true", False),
        ("one == 1", True),
        ("tags contains true", True),
        ("tags contains 1", False),
        ("tags contains nil", False),
        ("obj contains 'a'", True),
        ("obj contains 'z'", False),
        ("'xtrue' contains vip", True),
        ("'1.5' contains 1.5", True),
        ("one contains 1", False),
    ],
)
def test_conditions_are_liquids(condition: str, true: bool) -> None:
    assert fill(f"{{% if {condition} %}}yes{{% else %}}no{{% endif %}}") == ("yes" if true else "no")
    assert fill(f"{{% unless {condition} %}}no{{% else %}}yes{{% endunless %}}") == ("yes" if true else "no")


def test_a_case_compares_like_a_condition() -> None:
    assert fill("{% case last %}{% when 1, blank %}x{% when nil %}y{% else %}z{% endcase %}") == "xy"
    assert fill("{% case vip %}{% when 1 %}x{% when true %}y{% endcase %}") == "y"


def test_a_loop_of_limit_0_has_no_turns_and_one_goes_on_where_the_last_one_stopped() -> None:
    assert fill("{% for i in (1..5) limit: 0 %}{{ i }}{% else %}none{% endfor %}") == "none"
    first, next_ = "{% for i in (1..5) limit: 2 %}", "{% for i in (1..5) offset: continue %}"
    assert fill(first + "{{ i }}{% endfor %}|" + next_ + "{{ i }}{% endfor %}") == "12|345"
    assert fill("{% for i in (1..5) limit: '2' offset: 1 reversed %}{{ i }}{% endfor %}") == "32"
    with pytest.raises(RenderFailed, match="limit and offset of a loop are whole numbers, not an object"):
        fill("{% for i in (1..5) limit: obj %}{{ i }}{% endfor %}")
