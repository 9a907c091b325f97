"""Warnings about segments: what is surely not meant is told, and what is meant is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.errors import InvalidInput
from caravan.journeys.segment_warnings import TYPOGRAPHIC
from caravan.journeys.segments import compile_segment, compile_with_warnings

WARNED = {
    'x = "yes"': "\"yes\" is read as the name of a property; a text stands in single quotes: 'yes'",
    '"yes" = x': "single quotes: 'yes'",
    'x <> ("New York")': "single quotes: 'New York'",
    'lower(x) = "yes"': "single quotes: 'yes'",
    "x in (\"Oslo\", 'Bergen')": "single quotes: 'Oslo'",
    "x in (Oslo, Bergen)": "Bergen is read as the name of a property",
    "x between \"a\" and 'b'": "single quotes: 'a'",
    'starts_with(x, "it\'s")': "single quotes: 'it''s'",
    'contains(x, "a")': "single quotes",
    'ends_with(x, "a")': "single quotes",
    "coalesce(x, \"none\") = 'none'": "single quotes: 'none'",
    "x || \"!\" = 'a!'": "single quotes: '!'",
    "x = yes": "yes is read as the name of a property",
    "No <> x": "'No'",
    "first-name = 'Hy'": 'first-name is read as first minus name; the property of that name is written "first-name"',
    "contact.first-name = 1": 'written "contact.first-name"',
    "a-b-c > 1": "a minus b minus c",
    "first - name = 'Hy'": "'Hy' is read as a number here and is none",
    "length(x) > 'abc'": "'abc' is read as a number",
    "now() > 'tomorrow'": "'tomorrow' is read as a time",
    "now() > '2026-02-30'": "'2026-02-30' is read as a time",
    "not x = 'perhaps' and (x > 1) = 'perhaps'": "'perhaps' is read as a condition",
    "ltv >= '100'": "'9' comes after '10'; write 100",
    "ltv between '1' and '9'": "write 1",
    "first–name = 1": "“first–name” is read as the name of a property, with U+2013 (en dash) in it",
    "city\u200b = 'Oslo'": "U+200B (zero width space)",
    "🎂 = true": "U+1F382 (birthday cake)",
    "ID = '1'": "what a contact has by itself is written id",
    "Contact.x = '1'": "is written contact",
}

FINE = [
    "city in ('Oslo', 'Bergen') and ltv >= 100",
    "\"first name\" = 'Bo' and 'Bo' = \"yes\"",
    '"first name" = nickname',
    "a = b and price * quantity > 99.50",
    "yes = 'x' and no is null",
    "signup < now() - interval 30 days and now() > '2026-01-31T10:00+01:00' and now() > '2026-01-31'",
    "price - discount > 3 and price -discount > 3 and a-1 > 0 and -a < 1",
    "a = 'first-name' and \"first-name\" = 'x' -- first-name\n and a = 1 /* other-name */",
    "naïve_größe = 1 and नाम = 'x' and 名前 = 'x' and می\u200cخواهم = 1",
    "name > 'M' and name = '100' and zip = '007'",
    "x = '‘quoted’ „text“' and \"‘y’\" = 1 -- ‘z’",
    "id = '1' and contact.id = 7 and order.id = 3 and contact.contact.x = 1",
    "(x > 1) = 'yes' and length(x) > '3'",
    "coalesce(nickname, firstname) is not null and concat(first, ' ', last) = 'Bo Ek'",
]


@pytest.mark.parametrize("segment", WARNED)
def test_what_is_surely_not_meant_is_a_warning(segment: str) -> None:
    warnings = compile_with_warnings(segment)[1]
    assert any(WARNED[segment] in each for each in warnings), warnings
    assert len(set(warnings)) == len(warnings)


@pytest.mark.parametrize("segment", FINE)
def test_what_can_well_be_meant_is_none(segment: str) -> None:
    assert compile_with_warnings(segment)[1] == ()


WORDS = st.text("abcæ yes0123%-_", min_size=1, max_size=8)


@given(WORDS, st.sampled_from(TYPOGRAPHIC), st.sampled_from([*TYPOGRAPHIC, "'", ""]))
def test_typographic_quotes_are_refused_with_a_hint_wherever_they_stand_for_straight_ones(
    word: str, opening: str, closing: str
) -> None:
    for segment in (f"x = {opening}{word}{closing}", f"a = 1\n and {opening}{word}{closing} in ('a', 'b')"):
        with pytest.raises(InvalidInput, match=r"texts stand in straight quotes, like 'yes' \(line [12], column \d+\)"):
            compile_segment(segment)


@given(st.sampled_from(TYPOGRAPHIC))
def test_a_text_that_begins_straight_and_ends_typographically_is_refused_with_the_hint(quote: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^\{quote} is not a quotation mark of SQL.*column 9\)"):
        compile_segment(f"x = 'yes{quote} and y = 1")


@given(st.text(min_size=1, max_size=20))
def test_a_word_in_double_quotes_on_the_right_is_always_warned_of(word: str) -> None:
    segment = 'x = "' + word.replace('"', '""') + '"'
    try:
        _, warnings = compile_with_warnings(segment)
    except InvalidInput:
        return
    assert any("single quotes" in each for each in warnings) or word in ("id",)
