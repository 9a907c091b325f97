"""Which placeholders came out empty, as a rendering itself notes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.journeys.placeholders import ContactView, compile_template

_NAMES = ("a", "b", "c")
_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(" \t\n", max_size=2), st.text(max_size=2), st.just([])
)
_SLOW = "{% assign other = 1 %}"  # what the quick way through a template leaves to Liquid


@pytest.mark.parametrize("html", [False, True])
@given(properties=st.dictionaries(st.sampled_from(_NAMES), _VALUES))
def test_it_is_what_prints_nothing_whichever_way_renders_it(html: bool, properties: dict[str, object]) -> None:
    def empties(text: str) -> set[str]:
        found: set[str] = set()
        compile_template(text, html=html).render(ContactView("1", properties, empty=found))
        return found

    text = " ".join(f"{{{{ {name} }}}}" for name in _NAMES)
    alone = {
        name: compile_template(f"{{{{ {name} }}}}", html=html).render(ContactView("1", properties)) for name in _NAMES
    }
    blank = {name for name, printed in alone.items() if not printed.strip()}
    assert empties(text) == empties(text + _SLOW) == blank


@pytest.mark.parametrize("slow", ["", _SLOW])
@pytest.mark.parametrize(
    ("text", "empty"),
    [
        ("{{ contact.name | upcase }}", {"name"}),
        ("{{ name | default: 'friend' }}", set()),
        ("{% if name %}{{ name }}{% endif %}", set()),
        ("{% if name %}x{% else %}{{ address.city }}{% endif %}", {"address.city"}),
        ("{{ id }}{{ '' | append: 'x' }}", set()),
    ],
)
def test_a_placeholder_is_named_as_it_is_written_and_only_where_it_is_printed(
    text: str, empty: set[str], slow: str
) -> None:
    found: set[str] = set()
    compile_template(text + slow).render(ContactView("1", {"address": {"city": ""}}, empty=found))
    assert found == empty
