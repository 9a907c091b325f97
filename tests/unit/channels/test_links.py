"""Links that tell when they are followed, from the template to a contact's mail."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.email_texts import Source, Track, prepared
from caravan.channels.links import LinkWriter, Ways
from caravan.delivery.tracked_url import read_link, target_path
from caravan.journeys.placeholders import ContactView

KEY, SECRET, WHEN = "1hll3tp27vdp735id00101glfsrjkic02q", b"secret", "1lgfprl"
UNSUBSCRIBE = f"https://c.se/u/{KEY}"
WAYS = Ways(
    f"https://c.se/c/{KEY}/{WHEN}",
    f"https://c.se/o/{KEY}/{WHEN}",
    lambda name, target: target_path(KEY, SECRET, name, target),
    UNSUBSCRIBE,
)
BOTH = frozenset(Track)


def written(html: str | None, text: str | None = None, **properties: object) -> tuple[str, str, LinkWriter]:
    """Text and page of a contact's mail, and what its version knows of the links."""
    texts = prepared(Source(text, html, None, inline_css=True), BOTH)
    assert texts.links is not None
    text, page = texts.render(ContactView("7", properties, unsubscribe_url=UNSUBSCRIBE), WAYS)
    return text or "", page or "", texts.links


def leads(url: str, links: LinkWriter) -> str | None:
    """Where a URL in a mail leads."""
    assert url.startswith(f"https://c.se/c/{KEY}/")
    found = read_link(KEY, url.removeprefix(f"https://c.se/c/{KEY}/"), [SECRET])
    assert found is not None
    return found.target or links.targets[found.link]


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ('"https://x.se/?a=1&amp;b=2"', "https://x.se/?a=1&b=2"),
        ('"https://x.se/?a=1&copy=2&lt=3"', "https://x.se/?a=1&copy=2&lt=3"),
        ('"https://x.se/&copy;&#228;"', "https://x.se/©ä"),
        ("'https://x.se/%2F/%7e~'", "https://x.se/%2F/%7e~"),
        ("https://x.se/a", "https://x.se/a"),
        ('" https://x.se "', "https://x.se"),
        ('"HTTPS://X.se/#part"', "HTTPS://X.se/#part"),
        ('"https://x.se/{{ id }}?q={{ q | url_encode }}"', "https://x.se/7?q=%C3%A4+%26"),
        ('"{{ link }}"', "https://y.se/?a=<'&\">"),
        ("{{ link }}", "https://y.se/?a=<'&\">"),
        ('"{% if q %}https://x.se/{% else %}https://z.se{% endif %}"', "https://x.se/"),
    ],
)
def test_a_link_leads_where_it_led_octet_for_octet(href: str, target: str) -> None:
    _, page, links = written(f"<p><a class=b href={href}>x</a></p>", q="ä &", link="https://y.se/?a=<'&\">")
    (url,) = re.findall(r"href=[\"']([^\"']+)[\"']", page)
    assert leads(url, links) == target


@pytest.mark.parametrize(
    "tag",
    ['<a href="mailto:a@b.se">', '<a href="tel:1">', '<a href="#x">', '<a href="{{ unsubscribe_url }}">', "<a>",
     '<a href="/relative">', '<link href="https://x.se/a.css">', '<a href="">', '<base href="https://x.se/">',
     "<!-- <a href='https://x.se'> -->", '<a href="https://x.se/ a">', '<img src="https://x.se/a.png">',
     '<a href="{{ UNSUBSCRIBE_URL }}?x">', "<script>'<a href=https://x.se>'</script>"],
)  # fmt: skip
def test_what_does_not_lead_into_the_web_stays_as_it_is(tag: str) -> None:
    plain = prepared(Source(None, tag + "x", None, inline_css=True)).render(
        ContactView("7", {}, unsubscribe_url=UNSUBSCRIBE), None
    )[1]
    _, page, links = written(tag + "x")
    assert page.partition('<img src="https://c.se/o/')[0] == plain
    assert not links.targets


def test_a_condition_that_holds_more_than_the_link_leaves_it_alone() -> None:
    _, page, links = written('{% if a %}<a href="https://x.se{% else %}<a href="https://y.se{% endif %}">x</a>', a=True)
    assert '<a href="https://x.se">' in page
    assert not links.targets


def test_links_of_a_loop_lead_each_where_it_says() -> None:
    _, page, links = written(
        '{% for i in items %}<a href="{{ i }}">x</a>{% endfor %}', items=["https://a.se", "https://b.se"]
    )
    assert [leads(url, links) for url in re.findall(r'href="([^"]+)"', page)] == ["https://a.se", "https://b.se"]


def test_the_same_link_has_one_name_in_text_and_page() -> None:
    text, page, links = written('<a href="https://x.se/?a&amp;b">x</a>', "See https://x.se/?a&b.")
    (url,) = re.findall(r'href="([^"]+)"', page)
    assert text == f"See {url}."
    assert links.targets.keys() == {url.rpartition("/")[2]}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("(https://x.se/a_(b)), then", "(LINK), then"),
        ("<https://x.se/{{ id }}>.", "<LINK>."),
        ("{% if yes %}https://x.se{% endif %}!", "LINK!"),
        ("x.se and {{ link }} and {{ unsubscribe_url }}", f"x.se and https://evil.se and {UNSUBSCRIBE}"),
        ("https://x.se/?u={{ unsubscribe_url }}", f"https://x.se/?u={UNSUBSCRIBE}"),
    ],
)
def test_links_of_a_text_are_those_that_its_author_wrote(template: str, said: str) -> None:
    text, _, _ = written(None, template, link="https://evil.se", yes=True)
    assert re.sub(rf"https://c\.se/c/{KEY}/[\w/-]+", "LINK", text) == said


@given(
    value=st.text(max_size=60)
    | st.sampled_from(["javascript:x", "\tdata:x", "https://a\r\nX: y", 'https://a.se/"><b>'])
)
def test_whatever_a_contact_has_its_link_is_one_attribute_and_never_a_script(value: str) -> None:
    _, page, links = written('<a href="{{ v }}">x</a>', "t", v=value)
    (url,) = re.findall(r'^<a href="([^"]*)">x</a><img [^>]*>$', page, re.DOTALL)
    assert not re.match(r"[\x00-\x20]*(?:javascript|vbscript|data)\s*:", url, re.IGNORECASE)
    if "/c/" in url:
        assert leads(url, links) == value.strip(" \t\n\f\r")


def test_the_image_stands_at_the_end_of_the_page_and_not_in_the_text() -> None:
    text, page, _ = written("<html><body><p>x</p></BODY></html>")
    assert re.search(
        rf'</p><img src="https://c\.se/o/{KEY}/{WHEN}" width="1" height="1" alt=""[^>]*></BODY></html>$', page
    )
    assert "/o/" not in text
