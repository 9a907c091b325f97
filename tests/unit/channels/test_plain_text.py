"""The text that is made of an HTML template is a template that says the same."""

import re
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.plain_text import text_of
from caravan.journeys.placeholders import ContactView, compile_template


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>Hi {{ name | default: '<b>' }}</h1><p>One<br>two</p>", "Hi {{ name | default: '<b>' }}\n\nOne\ntwo"),
        ("<a href='https://x.se/?a={{ id }}&amp;b=%2F'>Look</a>", "[Look](https://x.se/?a={{ id }}&b=%2F)"),
        ("<head><title>{{ t }}</title><style>p{}</style></head><p>Hej å &amp; ö<!-- {{ x }} --></p>", "Hej å & ö"),
        ("<p>{% if vip %}Thanks{% else %}Hello{% endif %}, {{ name }}</p>",
         "{% if vip %}Thanks{% else %}Hello{% endif %}, {{ name }}"),
        ("<div style='display:none'>{{ pre }}</div><p>a</p>", "a"),
        ("<img src='x' alt='{{ a }}'>b", "b"),
    ],
)  # fmt: skip
def test_a_page_is_told_with_its_links_and_placeholders(html: str, text: str) -> None:
    assert text_of(html) == text


@pytest.mark.parametrize(
    "html",
    [
        "", "<p></p>", "<img src='x'>", "&#123;&#123; x }}", "{&#x25; if x %}", "{% raw %}{{ x }}{% endraw %}",
        "<table>{% for i in b %}<tr><td>{{ i }}</td></tr>{% endfor %}</table>", "<p {% if x %}class='a'{% endif %}>b",
        "\ue000",
    ],
)  # fmt: skip
def test_where_it_can_not_be_told_for_sure_there_is_no_text(html: str) -> None:
    assert text_of(html) is None


WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8)
PIECES = st.recursive(
    WORDS | st.sampled_from(["{{ a }}", "{{ b | upcase }}", "{{ c.d }}"]),
    lambda inner: (
        st.builds(lambda tag, each: f"<{tag}>{each}</{tag}>", st.sampled_from(["p", "b", "div", "li"]), inner)
        | st.builds(lambda left, right: left + " " + right, inner, inner)
        | st.builds(lambda each, other: f"{{% if v %}}{each}{{% else %}}{other}{{% endif %}}", inner, inner)
        | st.builds(lambda each: f"{{% for i in l %}}{each}{{% endfor %}}", inner)
    ),
    max_leaves=8,
)


@given(html=PIECES, values=st.lists(WORDS, min_size=3, max_size=3), vip=st.booleans(), times=st.integers(0, 3))
def test_what_a_contact_reads_in_the_text_is_what_stands_in_the_page(
    html: str, values: list[str], vip: bool, times: int
) -> None:
    contact = ContactView("1", {"a": values[0], "b": values[1], "c": {"d": values[2]}, "v": vip, "l": [0] * times})
    text = text_of(html)
    if text is not None:
        page = re.sub(r"<[^>]*>", "", compile_template(html, html=True).render(contact))
        assert _letters(compile_template(text).render(contact)) == _letters(page)


@given(st.text())
def test_a_text_without_tags_stays_what_it_is(words: str) -> None:
    text = text_of(f"<p>{escape(words)}</p>")
    assert text is None or _letters(compile_template(text).render(ContactView("1", {}))) == _letters(words)


def _letters(text: str) -> str:
    return "".join(each for each in text if each.isalnum())
