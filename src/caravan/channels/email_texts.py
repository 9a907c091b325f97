"""The text and the page of an email step, made ready once for a version: MJML into HTML, style sheets into tags, a text
out of the page, marks into links."""

import re
from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from caravan.channels.inlined import inlined
from caravan.channels.links import LinkWriter, Ways
from caravan.channels.mjml_page import page_of
from caravan.channels.plain_text import text_of
from caravan.errors import InvalidInput
from caravan.journeys.placeholders import ContactView, Template, compile_template

_PREVIEW: Final = re.compile(r'<div style="display:none;[^"]*">.*?</div>', re.DOTALL)  # mj-preview: for lists of mails


class Track(StrEnum):
    """What is told of a mail that was sent."""

    OPENS = "opens"
    CLICKS = "clicks"


@dataclass(frozen=True, slots=True)
class Source:
    """What an author wrote."""

    text: str | None
    html: str | None
    mjml: str | None
    inline_css: bool


@dataclass(frozen=True, slots=True)
class Texts:
    """The compiled templates, and what puts links into them; none where nothing is tracked."""

    text: Template | None
    html: Template | None
    links: LinkWriter | None = None

    def render(self, contact: ContactView, ways: Ways | None) -> tuple[str | None, str | None]:
        """Text and page of one contact's mail. Raises `RenderFailed`."""
        text = None if self.text is None else self.text.render(contact)
        page = None if self.html is None else self.html.render(contact)
        if self.links is None or ways is None:
            return text, page
        return (
            None if text is None else self.links.fill(text, ways, html=False),
            None if page is None else self.links.fill(page, ways, html=True),
        )


def prepared(source: Source, track: Set[Track] = frozenset()) -> Texts:
    """The templates of a step. Inlining gives way where the page would be too long a template."""
    page = source.html if source.mjml is None else page_of(source.mjml).html
    links = LinkWriter() if track else None
    text = source.text
    if links is not None and Track.CLICKS in track:
        page = None if page is None else links.mark_page(page)
        text = None if text is None else links.mark_text(text)
    if text is None and page is not None:
        text = text_of(page if source.mjml is None else _PREVIEW.sub("", page, count=1))
    if links is not None and Track.OPENS in track and page is not None:
        page = links.with_image(page)
    html = None if page is None else _compiled(page, inline_css=source.inline_css)
    return Texts(None if text is None else compile_template(text), html, links)


def _compiled(page: str, *, inline_css: bool) -> Template:
    if inline_css:
        try:
            return compile_template(inlined(page), html=True)
        except InvalidInput:
            pass
    return compile_template(page, html=True)
