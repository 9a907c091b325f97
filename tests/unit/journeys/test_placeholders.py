"""Placeholders: what they find, what they refuse, and that no template can work or grow without end."""

import re
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from time import thread_time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caravan.errors import CaravanError, InvalidInput, RenderFailed
from caravan.journeys.placeholders import ContactView, compile_template
from caravan.journeys.placeholders.filters import FILTERS
from tests.examples import many

BRUCE = ContactView(
    "42",
    {
        "firstname": "Bruce",
        "Email": "a@b.se",
        "email": "exact@b.se",
        "ltv": 120,
        "share": 0.5,
        "vip": True,
        "nothing": None,
        "address": {"City": "Oslo", "size": "XL"},
        "tags": ["a", "b"],
        "first name": "Bo",
        "id": "not this one",
        "html": "<b>&'\"",
    },
    now=datetime(2026, 7, 1, 22, 30, tzinfo=UTC),
)


def fill(text: str, html: bool = False, contact: ContactView = BRUCE) -> str:
    """The template, filled in for Bruce."""
    return compile_template(text, html=html).render(contact)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ firstname }} = {{ contact.firstname }}", "Bruce = Bruce"),
        ("{{ FirstName }} {{ contact.FIRSTNAME }} {{ Contact.firstname }}", "Bruce Bruce Bruce"),
        ("{{ email }} {{ Email }} {{ EMAIL }}", "exact@b.se a@b.se a@b.se"),
        ("{{ id }} {{ contact.id }}", "42 42"),
        ("{{ address.city }} {{ address.City }} {{ ADDRESS['CITY'] }}", "Oslo Oslo Oslo"),
        ("{{ address.size }} {{ tags.size }} {{ tags[1] }} {{ tags.first }}", "XL 2 b a"),
        ("{{ contact['first name'] }}", "Bo"),
        ("[{{ missing }}{{ missing.deeper.still }}{{ nothing }}{{ firstname.deeper }}]", "[]"),
        ("{{ missing | default: 'Friend' }}", "Friend"),
        ("{{ ltv }} {{ share }} {{ vip }} {{ ltv | plus: 1 }}", "120 0.5 true 121"),
        ("{{ address }}", '{"City": "Oslo", "size": "XL"}'),
        ("{% if vip and ltv >= 100 %}yes{% else %}no{% endif %}", "yes"),
        ("{% for tag in tags %}{{ tag }},{% endfor %}", "a,b,"),
        ("{% assign firstname = 'Bo' %}{{ firstname }} {{ contact.firstname }}", "Bo Bruce"),
        ("{{ '2026-01-31T10:00:00Z' | date: '%d.%m.%Y' }} {{ 'soon' | date: '%d' }}", "31.01.2026 soon"),
        ("{% raw %}{{ as it is }}{% endraw %}", "{{ as it is }}"),
        ("{{ now }}{{ today }}{{ 'now' | date: '%Y' }}", "2026"),
        ("{{ firstname.__class__ }}{{ contact.__init__ }}{{ ltv.real }}", ""),
        ("{{ ID }}", "not this one"),
        ("{% if ltv > 200 %}a{% elsif ltv > 100 %}b{% else %}c{% endif %}", "b"),
        ("{% if missing %}a{% elsif nothing %}b{% endif %}!", "!"),
        ("{% if tags contains 'b' and address.city == 'Oslo' %}a{% endif %}", "a"),
        ("[{% if vip %} \n {% endif %}]", "[]"),
        ("[{% if vip %} {% if ltv %}x{% endif %} {% endif %}]", "[ x ]"),
        ("{% if vip %}{% for tag in tags %}{{ tag }}{% endfor %}{% endif %}", "ab"),
        ("{% if vip %}{{ partial }}{% endif %}{% for tag in tags %}{{ partial }}{% endfor %}", ""),
    ],
)
def test_a_template_is_filled_in(template: str, text: str) -> None:
    assert fill(template) == text


def test_the_contacts_id_is_found_without_regard_to_case_if_no_property_has_that_name() -> None:
    assert fill("{{ ID }}{{ Contact.Id }}", contact=ContactView("7", {})) == "77"


def test_html_escapes_values_but_not_the_template() -> None:
    assert fill("<p>{{ html }}</p>", html=True) == "<p>&lt;b&gt;&amp;&#39;&#34;</p>"
    assert fill("{{ html | raw }}{{ html | safe }}", html=True) == "<b>&'\"" * 2
    assert fill("{{ html | append: '<i>' }}", html=True) == "&lt;b&gt;&amp;&#39;&#34;<i>"
    assert fill("<p>{{ html }}</p>") == "<p><b>&'\"</p>"


def test_a_template_without_placeholders_is_a_constant() -> None:
    assert compile_template("Spring & sale {").constant == "Spring & sale {"
    assert compile_template("{{ a }}").constant is None
    assert compile_template("{% if a %}{% endif %}").constant is None
    assert fill("Spring & sale", html=True) == "Spring & sale"


def test_names_are_those_that_are_taken_from_the_contact() -> None:
    template = compile_template("{{ a }}{% for x in b.c %}{{ x }}{% endfor %}{% assign d = 1 %}{{ d }}")
    assert template.names == {"a", "b"}


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("{{ a | upcas }}", "did you mean upcase"),
        ("{{ a | zzz }}", "there are abs, append"),
        ("one\ntwo\n{{ a | zzz }}", "line 3 of the template"),
        ("one\n{{ a", "line 2 of the template"),
        ("{{ a b }}", "can't be read"),
        ("{{ }}", "can't be read"),
        ("{% if a %}", "endif"),
        ("{% include 'x' %}", "no tag include"),
        ("{% render 'x' %}", "no tag render"),
        ("{% extends 'x' %}", "no tag extends"),
        ("{% nope %}", "no tag nope"),
        ("{% if a" + " and a" * 3000 + " %}{% endif %}", "nested too deeply"),
        ("{% if a %}" * 50 + "{% endif %}" * 50, "nesting limit"),
        ("{{ a | strip_html }}", "no filter strip_html"),
        ("x" * 600_000, "longer than"),
        ("{{ 'a' | append }}", "append takes 1 argument, not 0: append: text (line 1 of the template)"),
    ],
    ids=lambda value: value[:30],
)
def test_a_mistake_is_refused_when_the_template_is_read(template: str, part: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        compile_template(template)
    assert part in refused.value.message


TEN = "| replace: 'x', 'xxxxxxxxxx' "
BOMBS = {
    "loop": "{% for a in (1..100000) %}{% endfor %}",
    "loops": "{% for a in (1..1000) %}{% for b in (1..1000) %}{{ a }}{% endfor %}{% endfor %}",
    "endless range": "{% for a in (1..99999999999999999999999) %}{% endfor %}",
    "joined range": "{{ (1..999999999) | join: ',' }}",
    "sorted range": "{{ (1..999999999) | reverse | first }}",
    "replace": "{{ 'x' " + TEN * 9 + "}}",
    "capture": "{% for i in (1..60) %}{% capture y %}{{ y }}{{ y }}xxxxxxxx{% endcapture %}{% endfor %}",
    "append": "{% assign y = 'xxxx' %}{% for i in (1..60) %}{% assign y = y | append: y %}{% endfor %}",
    "output": "{% for i in (1..9999) %}" + "x" * 200 + "{% endfor %}",
    "power": "{% assign y = 9 %}{% for i in (1..60) %}{% assign y = y | times: y %}{% endfor %}",
    "lists": "{% assign y = 'a,b' | split: ',' %}{% for i in (1..60) %}{% assign y = y | concat: y %}{% endfor %}",
    "encode": "{% assign y = '&&&&' %}{% for i in (1..99) %}{% assign y = y | base64_encode %}{% endfor %}",
    "separator": "{{ (1..9999) | join: big }}",
    "flat output": "{{ big }}" * 20,
    "output of ifs": "{% if big %}{{ big }}{% endif %}" * 20,
    "time": "{% for i in (1..9999) %}" + "{% if a %}{% endif %}" * 2000 + "{% endfor %}",
    "division": "{{ 1 | divided_by: 0 }}",
    "endless number": "{{ '1e400' | ceil }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_template_that_works_or_grows_without_end_fails_soon_with_one_sentence(name: str) -> None:
    template = compile_template(BOMBS[name])
    before = thread_time()
    with pytest.raises(RenderFailed, match=r"^A placeholder can't be filled: [^\n]+\.$"):
        template.render(ContactView("1", {"big": "x" * 100_000}))
    assert thread_time() - before < 3


@pytest.mark.parametrize("piece", ["{{ big }}", "{% if big %}{{ big }}{% endif %}"])
def test_a_template_that_grows_is_stopped_before_it_takes_much_memory(piece: str) -> None:
    template = compile_template(piece * 500, html=True)
    contact = ContactView("1", {"big": "<" * 100_000})
    tracemalloc.start()
    try:
        with pytest.raises(RenderFailed, match="longer than"):
            template.render(contact)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
# What each kind of argument may be: written in the template, or a value of the contact.
LITERALS: dict[str, list[str]] = {
    "read_any": ["nil", "true", "1", "'a'"],
    "read_text": ["'a'", "','", "''", "'%c'", "1", "true"],
    "read_number": ["1", "0", "-3.5", "'2'", "99999999999999999999999"],
    "read_count": ["3", "-2", "'4'", "0"],
    "read_decimals": ["0", "2", "20"],
    "read_name": ["'a'", "nil"],
    "read_items": ["(1..3)", "nil"],
    "read_zone": ["'Asia/Kolkata'", "'UTC'"],
    "read_currency": ["'EUR'", "'JPY'"],
    "read_locale": ["'de_DE'", "'en'", "'ar'"],
}


@st.composite
def filter_calls(draw: st.DrawFn, without: tuple[str, ...] = ()) -> str:
    """One filter with arguments that it takes: ` | round: 2`."""
    name = draw(st.sampled_from(sorted(set(FILTERS) - set(without))))
    kinds = list(FILTERS[name].arguments.values())
    count = draw(st.integers(FILTERS[name].required, len(kinds)))
    given = [draw(st.sampled_from([*LITERALS[kind.__name__], "a", "b", "b.c"])) for kind in kinds[:count]]
    return f" | {name}: {', '.join(given)}" if given else f" | {name}"


PIECES = "{{ }} {% %} a b.c | : , 'x' 1 .. ( ) [ ] if endif for x in endfor assign = == else raw"
soup = st.lists(
    st.sampled_from(PIECES.split()),
    max_size=12,
).map(" ".join)


PYTHONS_WORDS = re.compile(
    r"None|True|False|\bnan\b|\binf\b|Error|Exception|Traceback|object at 0x|<class"
    r"|\b(str|int|float|dict|tuple|bytes|codec|argument must|positional|unhashable)\b"
)


def rendered(template: str, contact: ContactView, *, html: bool = False) -> str:
    """The text, or the sentence of a failure, which has none of Python's words and is no filter's last resort."""
    try:
        return compile_template(template, html=html).render(contact)
    except RenderFailed as failed:
        assert re.fullmatch(r"A placeholder can't be filled: [^\n]+\.", failed.message)
        assert not PYTHONS_WORDS.search(failed.message), failed.message
        assert "work with its value" not in failed.message
        return failed.message


@settings(deadline=None, max_examples=many(1000))
@given(filters=st.lists(filter_calls(), max_size=4), a=values, b=values, html=st.booleans())
def test_any_row_of_filters_on_any_value_gives_a_text_or_one_sentence(
    filters: list[str], a: Any, b: Any, html: bool
) -> None:
    assert isinstance(rendered("{{ a" + "".join(filters) + " }}", ContactView("1", {"a": a, "b": b}), html=html), str)


BITS = ["x", " ", "\n", "{{ a }}", "{{ b.c | upcase }}", "{{ a | default: b }}", "{{ a | plus: 1 }}"]
CONDITIONS = """
a; b; a.size; a == b; a != b; a < b; a >= 1; a <= 'm'; a > b.c; a contains b; b contains 'x'; a == empty; b == blank;
a == true; a == nil; a and b; a or b; a and b or a == 1; b == (1..3); a.first == b.last; partial; id
"""
condition = st.sampled_from([each.strip() for each in CONDITIONS.split(";")])


def written(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Some pieces, and an `if` of them."""

    def an_if(first: tuple[str, str], more: list[tuple[str, str]], last: str | None) -> str:
        elsifs = "".join(f"{{% elsif {each} %}}{text}" for each, text in more)
        otherwise = "" if last is None else f"{{% else %}}{last}"
        return f"{{% if {first[0]} %}}{first[1]}{elsifs}{otherwise}{{% endif %}}"

    branch = st.tuples(condition, inner)
    ifs = st.builds(an_if, branch, st.lists(branch, max_size=2), st.none() | inner)
    return st.lists(inner | ifs, max_size=3).map("".join)


@pytest.mark.parametrize(
    "template", ["{{ a }}", "{{ a }}{% comment %}{% endcomment %}", "{% capture b %}{{ a }}{% endcapture %}{{ b }}"]
)
def test_line_ends_of_values_stay_as_they_are(template: str) -> None:
    ends = "1\r2\r\n3\n4"
    assert compile_template(template + "\r\n").render(ContactView("1", {"a": ends})) == ends + "\r\n"


@settings(deadline=None, max_examples=many(1000))
@example(template="{{ a }}", html=False, a="\r", b=None)
@given(template=st.recursive(st.sampled_from(BITS), written, max_leaves=12), html=st.booleans(), a=values, b=values)
def test_the_quick_way_through_a_template_gives_what_liquid_gives(template: str, html: bool, a: Any, b: Any) -> None:
    quick = compile_template(template, html=html)
    whole = replace(quick, _quick=None)
    contact = ContactView("7", {"a": a, "b": b})
    try:
        expected = whole.render(contact)
    except RenderFailed as failed:
        with pytest.raises(RenderFailed) as caught:
            quick.render(contact)
        assert caught.value.message == failed.message
    else:
        assert quick.render(contact) == expected
    assert quick._quick is not None or "{" not in template


TAG = st.sampled_from(
    ["<script>", "%3Cscript%3E", "&lt;script&gt;", "%253Cscript%253E", "&amp;lt;script&amp;gt;", "<<script>"]
)


@settings(deadline=None, max_examples=many(1000))
@given(
    filters=st.lists(filter_calls(without=("raw", "safe")), min_size=1, max_size=4),
    a=TAG | st.lists(TAG, max_size=2) | st.dictionaries(st.just("b"), TAG),
)
def test_no_filter_but_raw_and_safe_lets_a_tag_of_a_contact_into_html(filters: list[str], a: Any) -> None:
    assert "<script" not in rendered("{{ a" + "".join(filters) + " }}", ContactView("1", {"a": a, "b": a}), html=True)


@settings(deadline=None)
@given(text=soup | st.text(max_size=30), html=st.booleans())
def test_any_text_is_a_template_or_refused(text: str, html: bool) -> None:
    try:
        compile_template(text, html=html).render(ContactView("1", {"a": "x"}))
    except CaravanError as error:
        assert error.message


@given(value=st.text(max_size=20), html=st.booleans())
def test_a_value_is_never_read_as_a_template(value: str, html: bool) -> None:
    attack = "{{ id }}{% if id %}" + value
    text = compile_template("{{ a }}", html=html).render(ContactView("42", {"a": attack}))
    assert "{{ id }}" in text
    assert html or text == attack
    assert not html or "<" not in text
