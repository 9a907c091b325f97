"""Numbers in templates: decimals as in Shopify's Liquid, whatever is no number is one text like another, and bounds."""

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caravan.errors import RenderFailed
from caravan.journeys.placeholders import ContactView, compile_template
from caravan.journeys.placeholders.filters import FILTERS
from caravan.journeys.placeholders.kinds import read_number
from tests.examples import many
from tests.unit.journeys.test_placeholders import PYTHONS_WORDS, filter_calls, rendered


def fill(template: str, **properties: Any) -> str:
    return compile_template(template).render(ContactView("1", properties))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ 2.5 | round }} {{ -2.5 | round }} {{ 0.5 | round }} {{ 3.5 | round }}", "3 -3 1 4"),
        ("{{ 1.005 | round: 2 }} {{ 2.675 | round: 2 }} {{ '1.005' | round: 2 }}", "1.01 2.68 1.01"),
        ("{{ 1234 | round: -2 }} {{ 15 | round: -1 }} {{ 15.5 | round: -1 }} {{ 7 | round: 2 }}", "1200 20 20.0 7"),
        ("{{ 4.7 | round: 0 }} {{ 4.7 | round: missing }} {{ 1.0 | round: 3 }}", "5 5 1.0"),
        ("{{ 1.2 | ceil }} {{ -1.2 | ceil }} {{ '1.2' | floor }} {{ -1.2 | floor }} {{ 3 | ceil }}", "2 -1 1 -2 3"),
        ("{{ 0.1 | plus: 0.2 }} {{ 1.1 | minus: 1 }} {{ 19.99 | times: 3 }} {{ 3 | plus: 1.0 }}", "0.3 0.1 59.97 4.0"),
        (
            "{{ 7 | divided_by: 2 }} {{ -7 | divided_by: 2 }} {{ 7 | divided_by: 2.0 }} {{ 7.0 | divided_by: 2 }}",
            "3 -4 3.5 3.5",
        ),
        ("{{ 1 | divided_by: 3.0 }} {{ 20 | divided_by: '8' }}", "0.3333333333333333 2"),
        ("{{ 7 | modulo: 3 }} {{ -7 | modulo: 3 }} {{ 7 | modulo: -3 }} {{ -7.5 | modulo: 2 }}", "1 2 -2 0.5"),
        ("{{ 7.5 | modulo: -2 }} {{ 183.357 | modulo: 12 }}", "-0.5 3.357"),
        ("{{ -4.5 | abs }} {{ '-17' | abs }} {{ 3 | at_least: 4.5 }} {{ '9' | at_most: 5 }}", "4.5 17 4.5 5"),
        ("{{ '12345678901234567890.12' | plus: 0.01 }}", "12345678901234567890.13"),
        (
            "{{ 0 | times: -1.5 }} {{ 3 | plus: ' 4 ' }} {{ '-1.5e3' | plus: 0 }} {{ '+5' | plus: 1 }}",
            "0.0 7 -1500.0 6",
        ),
        ("{{ 3 | fixed }} {{ 2.5 | fixed: 0 }} {{ '1.005' | fixed: 2 }} {{ -0.125 | fixed }}", "3.00 3 1.01 -0.13"),
        ("[{{ missing | fixed: 2 }}] [{{ 'on request' | fixed: 2 }}]", "[] [on request]"),
        ("{{ 1234.5 | money: 'EUR' }} {{ 1234.5 | money: 'EUR', 'de_DE' }}", "€1,234.50 1.234,50\xa0€"),
        (
            "{{ 2.5 | money: 'JPY' }} {{ 0.125 | money: 'USD' }} {{ '9.995' | money: 'EUR', 'de-AT' }}",
            "¥3 $0.13 €\xa010,00",
        ),
        ("[{{ missing | money: 'EUR' }}] [{{ 'ask us' | money: 'EUR' }}]", "[] [ask us]"),
        ("{% if '120' > 100 and '9' < 10 and '1e2' >= 100 and 100 <= '100.0' %}yes{% endif %}", "yes"),
        ("{% if '10' < '9' %}as texts{% endif %}", "as texts"),
        ("{% if missing < 1 or missing > 1 or missing >= missing or true < 2 %}yes{% else %}no{% endif %}", "no"),
    ],
)
def test_numbers_are_shopifys(template: str, text: str) -> None:
    assert fill(template) == text


def test_a_sum_is_exact() -> None:
    assert (
        fill("{{ a | sum }} {{ b | sum: 'x' }} {{ c | sum }}", a=[0.1] * 10, b=[{"x": "1"}, {"x": 2}, {}], c=[])
        == "1.0 3 0"
    )


numbers = st.integers(-(10**12), 10**12) | st.decimals(-(10**9), 10**9, places=3).map(float)


@settings(deadline=None, max_examples=many(300))
@given(value=numbers, places=st.integers(-3, 6), as_text=st.booleans())
def test_rounding_is_to_the_nearest_and_halves_go_away_from_zero(value: float, places: int, as_text: bool) -> None:
    given_ = str(value) if as_text else value
    exact, unit = Fraction(str(value)), Fraction(10) ** -places
    expected = (-1 if exact < 0 else 1) * math.floor(abs(exact) / unit + Fraction(1, 2)) * unit
    assert Fraction(fill(f"{{{{ a | round: {places} }}}}", a=given_)) == expected
    assert fill("{{ a | ceil }} {{ a | floor }}", a=given_) == f"{math.ceil(exact)} {math.floor(exact)}"
    if places >= 0:
        shown = fill(f"{{{{ a | fixed: {places} }}}}", a=given_)
        assert Fraction(shown) == expected
        assert len(shown.partition(".")[2]) == places


@settings(deadline=None, max_examples=many(300))
@given(a=numbers, b=numbers)
def test_arithmetic_is_exact_and_whole_numbers_stay_whole(a: float, b: float) -> None:
    x, y = Fraction(str(a)), Fraction(str(b))
    whole = isinstance(a, int) and isinstance(b, int)
    for name, expected in {"plus": x + y, "minus": x - y, "times": x * y}.items():
        shown = fill(f"{{{{ a | {name}: b }}}}", a=a, b=b)
        assert Fraction(shown) == expected
        assert ("." not in shown) == whole
    if y:
        assert Fraction(fill("{{ a | modulo: b }}", a=a, b=b)) == x - y * math.floor(x / y)
        quotient = Fraction(fill("{{ a | divided_by: b }}", a=a, b=b))
        assert quotient == math.floor(x / y) if whole else abs(quotient - x / y) <= abs(x / y) / 10**15
    assert fill("{% if a < b %}1{% endif %}{% if a <= b %}2{% endif %}", a=a, b=b) == "1" * (x < y) + "2" * (x <= y)


NO_NUMBERS = [
    "NaN",
    "nan",
    "-NaN",
    "sNaN",
    "Infinity",
    "inf",
    "-inf",
    "1e5x",
    "x",
    "",
    "1_000",
    "٣",
    "0x10",
    "1,5",
    "--1",
    "1e",
    ".",
]
NAN = float("nan")  # of JSON that is none


@pytest.mark.parametrize("name", sorted(name for name, each in FILTERS.items() if each.value is read_number))
@pytest.mark.parametrize("value", [*NO_NUMBERS, NAN, None, True, [], [1], {"a": 1}])
def test_what_is_no_number_counts_as_0_in_every_filter_of_numbers(name: str, value: Any) -> None:
    call = f"{name}: 3" if FILTERS[name].required else name
    assert fill(f"{{{{ a | {call} }}}}", a=value) == fill(f"{{{{ 0 | {call} }}}}")
    if FILTERS[name].arguments and name not in ("divided_by", "modulo"):
        assert fill(f"{{{{ 7 | {name}: a }}}}", a=value) == fill(f"{{{{ 7 | {name}: 0 }}}}")
    assert fill("{{ a | sum }}", a=[value, 2]) == ("3" if value == [1] else "2")


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "=="])
def test_what_is_no_number_matches_no_number(value: str, sign: str) -> None:
    for condition in (f"a {sign} 1", f"1 {sign} a", f"a {sign} 0", f"a {sign} -1.5"):
        assert fill(f"{{% if {condition} %}}yes{{% else %}}no{{% endif %}}", a=value) == "no"
    assert fill("{{ a }}", a=value) == value


HOSTILE: list[Any] = [
    *("1e999999999", "-1e999999999", "1e-999999999", "9" * 299, "9" * 301, "9" * 5_000, "0." + "1" * 2_000, "1e308"),
    *(
        10**299,
        10**301,
        -(10**4_000),
        1e308,
        5e-324,
        -1e300,
        float("inf"),
        float("-inf"),
        NAN,
        "1e99999999999999999999",
    ),
    *("0e999999999", "0" * 5_000 + "7", "NaN", "Infinity", "\ud800", "x" * 200_000, "\x00", "9999-12-31", "0001-01-01"),
    *(2**63, -(2**63) - 1, 253402300800, -62135596801, "99999999999999", [[[[[[[1]]]]]]], [10**400], {"a": 1e400}),
    *([None, True, 1, "a", {}], list(range(10_001)), {"size": 1, "first": 2, "last": None}, [float("inf")], True, None),
]


@settings(deadline=None, max_examples=many(600))
@example(filters=[" | round"], a="1e999999999", b=1, html=False)
@example(filters=[" | round"], a=float("inf"), b=1, html=False)
@example(filters=[], a=float("inf"), b=1, html=False)
@given(
    filters=st.lists(filter_calls(), max_size=3),
    a=st.sampled_from(HOSTILE),
    b=st.sampled_from(HOSTILE),
    html=st.booleans(),
)
def test_no_hostile_value_is_answered_with_a_word_of_pythons(filters: list[str], a: Any, b: Any, html: bool) -> None:
    contact = ContactView("1", {"a": a, "b": b})
    text = rendered("{{ a" + "".join(filters) + " }}", contact, html=html)
    of_the_template = {" | capitalize", " | downcase"} & set(filters)  # which make True of true
    if not of_the_template and not any(isinstance(each, str) for each in (a, b)):
        assert not PYTHONS_WORDS.search(text.replace("NaN", "")), text


@settings(deadline=None, max_examples=many(300))
@given(
    tag=st.sampled_from(
        [
            *(f"{{% if a {sign} b %}}x{{% endif %}}" for sign in ("<", "<=", ">", ">=", "==", "!=", "contains")),
            "{% for i in a %}{{ i }}{% endfor %}",
            "{% for i in (a..b) %}{{ i }}{% break %}{% endfor %}",
            "{% for i in a limit: b %}{{ i }}{% endfor %}",
            "{% for i in a offset: b reversed %}{{ i }}{% endfor %}",
            "{% for i in (1..b) reversed %}{{ i }}{% break %}{% endfor %}",
            "{% case a %}{% when b, 1 %}x{% else %}y{% endcase %}",
            "{% cycle a, b %}{% cycle a: b %}",
            "{% assign c = a %}{{ c }}{{ b[a] }}{{ b[a].c }}{{ [a] }}{{ contact[a] }}",
            "{{ a.first }}{{ a.last }}{{ a.size }}{{ a[b] }}{{ a['x'] }}{{ a[0] }}{{ a[-1] }}",
            "{% capture c %}{{ a }}{% endcapture %}{{ c | size }}{% echo b %}",
            "{% increment a %}{% decrement b %}{{ a }}",
        ]
    ),
    a=st.sampled_from(HOSTILE),
    b=st.sampled_from(HOSTILE),
    html=st.booleans(),
)
def test_no_tag_answers_a_hostile_value_with_a_word_of_pythons(tag: str, a: Any, b: Any, html: bool) -> None:
    rendered(tag, ContactView("1", {"a": a, "b": b}), html=html)


@pytest.mark.parametrize(
    "name", ["plus: 1", "round", "ceil", "abs", "fixed: 2", "money: 'EUR'", "at_most: 5", "times: 2"]
)
@pytest.mark.parametrize("value", ["1e999999999", 10**300, float("inf"), "9" * 301, -(10**4000)])
def test_a_number_that_is_too_large_is_refused_with_one_sentence(name: str, value: Any) -> None:
    with pytest.raises(RenderFailed) as failed:
        fill(f"{{{{ a | {name} }}}}", a=value)
    assert failed.value.message == (
        "A placeholder can't be filled: a number has more than 300 digits (line 1 of the template)."
    )


def test_a_property_with_more_digits_than_python_reads_is_printed_as_it_is() -> None:
    digits = "7" * 5_000
    contact = ContactView.read("1", f'{{"a": {digits}, "b": 2, "c": [-{digits}]}}')
    assert compile_template("{{ a }} {{ b | plus: 1 }} {{ c[0] }}").render(contact) == f"{digits} 3 -{digits}"


def test_numbers_are_written_without_an_exponent() -> None:
    for value in (1e16, 1e-5, 1.5e300, -2.5e-300, 123456789.125, 1e22):
        shown = fill("{{ a }}", a=value)
        assert re.fullmatch(r"-?\d+\.\d+", shown)
        assert Decimal(shown) == Decimal(repr(value))
