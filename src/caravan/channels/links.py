"""Links that tell when they are followed: which links of a step's templates those are, found once for a version, and
what is written in their place into each mail."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from caravan.channels.html_tags import Attribute, attribute_text, tags
from caravan.channels.liquid_marks import Marked
from caravan.delivery.tracked_url import CLICK, LONGEST_TARGET, OPEN, link_name, target_path, when_text
from caravan.journeys.placeholders.contact import UNSUBSCRIBE_URL, ContactView

MOST: Final = 1_000  # links of a mail that are told apart
_WEB: Final = re.compile(r"https?://[^\s/\x00-\x1f\x7f]", re.IGNORECASE)
_UNFIT: Final = re.compile(r"[\s\x00-\x1f\x7f\ud800-\udfff]")  # in a URL: what would end a header, or a line
_SCRIPT: Final = re.compile(r"(?:javascript|vbscript|data):", re.IGNORECASE)
_IGNORED: Final = re.compile(r"[\x00-\x20]")  # what browsers pass over before and in a scheme
_IN_TEXT: Final = re.compile(r"https?://[^\s<>\"'\x00-\x1f]+", re.IGNORECASE)
_GOES_ON: Final = re.compile(r"[\w/=]")  # before what looks like a URL: it is a piece of something else
_BLANKS: Final = " \t\n\f\r"  # around a URL in HTML
_NOT_AT_END: Final = ".,;:!?)]}*_"
_END_OF_PAGE: Final = re.compile(r"</body\b", re.IGNORECASE)
_LINKING: Final = ("a", "area")


@dataclass(frozen=True, slots=True)
class Ways:
    """What stands in one mail in place of the marks: the beginning of its links' URLs, the URL of its image, and what
    makes the end of a link whose target is this contact's own."""

    clicks: str
    image: str
    own: Callable[[str, str], str]  # name, target
    unsubscribe: str | None  # where no link leads that tells something


def ways_of(contact: ContactView, key: str, public_url: str, secret: bytes, now: datetime) -> Ways:
    """What stands in the mail of this key, written now. The signature of a target needs the key's own secret."""
    base, rest = public_url.rstrip("/"), f"{key}/{when_text(now)}"
    own = partial(target_path, key, secret)
    return Ways(f"{base}/{CLICK}/{rest}", f"{base}/{OPEN}/{rest}", own, contact.unsubscribe_url)


@dataclass(slots=True)
class LinkWriter:
    """Puts marks into templates, and each contact's URLs in their place.

    A mark can't be guessed, so that nothing of a contact's is taken for one. Links with the placeholder
    `unsubscribe_url`, and those that do not lead into the web, stay as they are.
    """

    #: The links that were found, by name: the URL of each; None where each contact's is another.
    targets: dict[str, str | None] = field(default_factory=dict)
    _mark: str = field(default_factory=lambda: f"zk{secrets.token_hex(8)}")
    _own: re.Pattern[str] = field(init=False)
    _has_own: bool = False

    def __post_init__(self) -> None:
        self._own = re.compile(rf"{self._mark}b([0-9a-v]{{8}})s(.*?){self._mark}e", re.DOTALL)

    def mark_page(self, page: str) -> str:
        """A template of HTML with marks in its links."""
        marked, pieces, at = Marked.of(page), list[str](), 0
        for tag in tags(marked.text):
            href = tag.get("href") if tag.name in _LINKING else None
            if href is None or not href.text.strip() or not _is_whole(marked, href):
                continue
            written = marked.back(href.text)
            personal = marked.pattern.search(href.text) is not None
            changed = self._link(written, attribute_text(written).strip(_BLANKS), personal=personal)
            if changed is not None:
                quote = "'" if href.value[:1] == "'" else '"'
                pieces += [marked.text[at : href.start], f"{quote}{changed}{quote}"]
                at = href.stop
        return marked.back("".join([*pieces, marked.text[at:]]))

    def mark_text(self, text: str) -> str:
        """A template of plain text with marks in its links: those that begin with http:// or https:// in it."""
        marked = Marked.of(text)
        behind_tags = {word.end() for word in marked.pattern.finditer(marked.text) if marked.is_tag(int(word[1]))}

        def mark(found: re.Match[str]) -> str:
            before = marked.text[max(0, found.start() - 1) : found.start()]
            if _GOES_ON.match(before) and found.start() not in behind_tags:
                return found[0]
            url = _url_of(found[0], marked)
            personal = marked.pattern.search(url) is not None
            changed = self._link(marked.back(url), marked.back(url), personal=personal)
            return found[0] if changed is None else changed + found[0][len(url) :]

        return marked.back(_IN_TEXT.sub(mark, marked.text))

    def with_image(self, page: str) -> str:
        """A template of HTML with a mark for the image at its end."""
        image = (
            f'<img src="{self._mark}o" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">'
        )
        ends = [found.start() for found in _END_OF_PAGE.finditer(page)]
        end = ends[-1] if ends else len(page)
        return f"{page[:end]}{image}{page[end:]}"

    def fill(self, text: str, ways: Ways, *, html: bool) -> str:
        """A rendered text with this contact's URLs where the marks are."""
        if self._has_own:
            text = self._own.sub(lambda found: self._filled(found, ways, html=html), text)
        if html:
            text = text.replace(f"{self._mark}o", ways.image)
        return text.replace(self._mark, ways.clicks)

    def _link(self, written: str, target: str, *, personal: bool) -> str | None:
        """What to write in place of a link; None where it stays."""
        if UNSUBSCRIBE_URL in written.casefold():
            return None
        if not personal and not is_web(target):
            return None
        name, known = link_name(written if personal else target), None if personal else target
        if self.targets.setdefault(name, known) != known or len(self.targets) > MOST:
            return None
        self._has_own |= personal
        return f"{self._mark}b{name}s{written}{self._mark}e" if personal else f"{self._mark}/{name}"

    def _filled(self, found: re.Match[str], ways: Ways, *, html: bool) -> str:
        name, written = found[1], found[2]
        target = attribute_text(written).strip(_BLANKS) if html else written
        if is_web(target) and len(target.encode()) <= LONGEST_TARGET and target != ways.unsubscribe:
            return f"{ways.clicks}/{name}/{ways.own(name, target)}"
        return "#" if html and _SCRIPT.match(_IGNORED.sub("", target)) else written


def is_web(target: str) -> bool:
    """Whether a URL leads into the web, and can stand in a header."""
    return _WEB.match(target) is not None and _UNFIT.search(target) is None


def _is_whole(marked: Marked, href: Attribute) -> bool:
    """Whether what Liquid decides of a link begins and ends in it."""
    first = next((number for number in marked.numbers(href.text) if marked.is_tag(number)), None)
    if first is None:
        return True
    return marked.opens(first) and marked.depth(href.start) == marked.depth(href.stop)


def _url_of(found: str, marked: Marked) -> str:
    """The URL at the beginning of what was found: up to a Liquid tag, and without what ends a sentence."""
    tag = next((word for word in marked.pattern.finditer(found) if marked.is_tag(int(word[1]))), None)
    whole = found if tag is None else found[: tag.start()]
    url = whole.rstrip(_NOT_AT_END)
    return url + ")" if whole[len(url) :].startswith(")") and url.count("(") > url.count(")") else url
