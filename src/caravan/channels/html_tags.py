"""The start tags of an HTML text, and where in it their attributes stand: for changes that leave all else as it is.

Tags and attributes are told apart as browsers do (HTML, "Tokenization"), as far as it matters for texts that people and
editors of mail write.
"""

import html.entities
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_OPENING: Final = re.compile(r"<!--|<([A-Za-z][^\s/>]*)")
_ATTRIBUTE: Final = re.compile(
    r"""[\s/]*(?P<name>[^\s/>][^\s/>=]*)(?:\s*=\s*(?P<value>"[^"]*"|'[^']*'|[^\s>"'][^\s>]*)?)?"""
)
_END: Final = re.compile(r"[\s/]*>")
_RAW: Final = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
_ANY_TAG: Final = re.compile(r"<(/?)([A-Za-z][^\s/>]*)([^>]*)>")
VOID: Final = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
# Tags that the next of their kind closes.
_CLOSED_BY_THEMSELVES: Final = frozenset({"p", "li", "td", "th", "tr", "dt", "dd", "tbody", "thead", "tfoot", "option"})
_REFERENCE: Final = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9A-Fa-f]+;?|[A-Za-z][A-Za-z0-9]*;?)")


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a tag: its name in lower case, its value as it is written, and where that stands; with the quotes
    around it if there are any."""

    name: str
    value: str
    start: int  # of the value, with its quote
    stop: int
    has_equals: bool

    @property
    def text(self) -> str:
        """The value without its quotes, character references as they are."""
        return self.value[1:-1] if self.value[:1] in ("'", '"') else self.value


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag: its name in lower case, its attributes, where it stands, and where its name ends."""

    name: str
    attributes: tuple[Attribute, ...]
    start: int
    name_end: int
    stop: int
    content_stop: int  # for a style sheet or a script: where what is in it ends; else the same as `stop`

    def get(self, name: str) -> Attribute | None:
        """The first attribute of that name, which is the one that counts."""
        return next((each for each in self.attributes if each.name == name), None)


def tags(text: str) -> Iterator[Tag]:
    """The start tags of `text` in their order; none of those in comments, style sheets or scripts."""
    at = 0
    while found := _OPENING.search(text, at):
        if found[1] is None:
            at = _behind(text, "-->", found.end())
            continue
        tag = _tag(text, found)
        if tag is None:  # no end: not a tag
            return
        yield tag
        at = tag.content_stop


def nesting(text: str, *, strict: bool = False) -> int:
    """How deep tags are nested, at most; in `strict` markup none closes itself. The parsers of CSS and MJML are
    recursive, and would end the process at some thousands."""
    passed = VOID if strict else VOID | _CLOSED_BY_THEMSELVES
    opened, depth, deepest = Counter[str](), 0, 0
    for closing, name, rest in _ANY_TAG.findall(text):
        name = name.lower()
        if name in passed or rest.endswith("/"):
            continue
        if not closing:
            opened[name] += 1
            depth += 1
            deepest = max(deepest, depth)
        elif opened[name]:
            opened[name] -= 1
            depth -= 1
    return deepest


def _tag(text: str, opening: re.Match[str]) -> Tag | None:
    at, attributes = opening.end(), list[Attribute]()
    while not (end := _END.match(text, at)):
        found = _ATTRIBUTE.match(text, at)
        if found is None or found.end() == at:
            return None
        value = found["value"] or ""
        start = found.start("value") if value else found.end()
        attributes.append(Attribute(found["name"].lower(), value, start, found.end(), "=" in found[0]))
        at = found.end()
    name = opening[1].lower()
    content_stop = end.end()
    if name in _RAW:
        closing = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(text, end.end())
        content_stop = closing.start() if closing else len(text)
    return Tag(name, tuple(attributes), opening.start(), opening.end(), end.end(), content_stop)


def _behind(text: str, mark: str, at: int) -> int:
    found = text.find(mark, at)
    return len(text) if found < 0 else found + len(mark)


def attribute_text(value: str) -> str:
    """What an attribute's value says: character references are read as they are in attributes, where `&copy=` is no
    copyright sign (HTML, "Named character reference state")."""
    if "&" not in value:
        return value
    return _REFERENCE.sub(lambda found: _referred(found, value), value)


def _referred(found: re.Match[str], value: str) -> str:
    reference = found[0]
    if not reference.startswith("&#") and not reference.endswith(";"):
        known = reference[1:] in html.entities.html5  # with the semicolon left out: those that may
        return html.unescape(reference) if known and value[found.end() : found.end() + 1] != "=" else reference
    return html.unescape(reference)
