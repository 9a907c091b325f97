"""Mails written in MJML: made into the HTML page that mail programs show alike, once for a step version."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from mjml import mjml2html

from caravan.channels.html_tags import VOID, nesting
from caravan.channels.liquid_marks import Marked
from caravan.errors import InvalidInput
from caravan.journeys.placeholders import compile_template

_ELEMENTS: Final = (
    "mjml mj-head mj-body mj-attributes mj-all mj-class mj-breakpoint mj-font mj-html-attributes mj-selector "
    "mj-html-attribute mj-preview mj-style mj-title mj-raw mj-accordion mj-accordion-element mj-accordion-title "
    "mj-accordion-text mj-button mj-carousel mj-carousel-image mj-column mj-divider mj-group mj-hero mj-image "
    "mj-navbar mj-navbar-link mj-section mj-social mj-social-element mj-spacer mj-table mj-text mj-wrapper"
)
_DEEPEST: Final = 400  # tags in one another
_MARKUP: Final = re.compile(
    r"""<!--.*?-->|</(?P<end>[A-Za-z][^\s<>/"'=]*)\s*>|<(?P<name>[A-Za-z][^\s<>/"'=]*)"""
    r"""(?:\s+[^\s<>/"'=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'))?)*\s*(?P<alone>/?)>""",
    re.DOTALL,
)
_ROOT: Final = re.compile(r"\s*(?:<!--.*?-->\s*)*<mjml[\s>]", re.DOTALL)
_PLACE: Final = re.compile(r" in root template| at position ([0-9]+)(?::[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Page:
    """What MJML became: a template of HTML, or why it can't be one."""

    html: str
    problem: str | None = None


@lru_cache(maxsize=64)
def page_of(mjml: str) -> Page:
    """The HTML of an MJML template, with the same placeholders. Nothing is included, from files or from the network."""
    marked = Marked.of(mjml)
    problem = next(_structure(marked), None)
    if problem is not None:
        return Page("", problem)
    if nesting(marked.text, strict=True) > _DEEPEST:
        return Page("", f"more than {_DEEPEST} tags stand in one another; are all of them closed?")
    try:
        # Without `fonts`, pages would load the standard one from a server of Google's at each reader's.
        html = mjml2html(marked.text, fonts={})
    except ValueError as error:
        return Page("", _sentence(marked, str(error)))
    if (lost := _lost(marked, html)) is not None:
        return Page("", lost)
    try:
        compile_template(page := marked.back(html), html=True)
    except InvalidInput as error:
        return Page("", f"the page that MJML makes of it is no template: {error.message}")
    return Page(page)


def _structure(marked: Marked) -> Iterator[str]:
    """What MJML would pass over in silence, or not say where it is."""
    if not _ROOT.match(marked.text):
        yield "MJML begins with <mjml>"
    opened: list[tuple[str, int]] = []
    at = 0
    while (at := marked.text.find("<", at)) >= 0:
        found, line = _MARKUP.match(marked.text, at), _line(marked, at)
        if found is None:
            yield f"the < in line {line} begins no tag: in MJML values stand in quotes, and a < of the text is &lt;"
            return
        at = found.end()
        if name := found["name"]:
            yield from _about_element(name.lower(), line)
            if not found["alone"] and name.lower() not in VOID:
                opened.append((name, line))
        elif name := found["end"]:
            if not opened or opened[-1][0] != name:
                about = f"; <{opened[-1][0]}> of line {opened[-1][1]} is open" if opened else ""
                yield f"</{name}> in line {line} closes what is not open{about}"
                return
            opened.pop()
    if opened:
        yield f"<{opened[-1][0]}> of line {opened[-1][1]} is not closed"


def _about_element(name: str, line: int) -> Iterator[str]:
    if name == "mj-include":
        yield f"mj-include in line {line} would read a file; write the piece itself here"
    elif name.startswith("mj") and name not in _ELEMENTS.split():
        near = difflib.get_close_matches(name, _ELEMENTS.split(), 1, 0.7)
        yield f"MJML has no <{name}> (line {line})" + (f"; is {near[0]} meant?" if near else "")


def _lost(marked: Marked, html: str) -> str | None:
    """A sentence about the first placeholder that stands where MJML has no place for it, or not in its order."""
    there = list(marked.numbers(html))
    missing = set(range(len(marked.tokens))).difference(there)
    tags = [number for number in there if marked.is_tag(number)]
    for number in [*sorted(missing), *(first for first, then in pairwise(tags) if then < first)]:
        word = next(each for each in marked.pattern.finditer(marked.text) if int(each[1]) == number)
        what, line = " ".join(marked.tokens[number].split())[:60], _line(marked, word.start())
        return (
            f"{what} in line {line} is lost in MJML: a size there must be a number, and a tag between "
            "elements stands in <mj-raw>"
        )
    return None


def _sentence(marked: Marked, message: str) -> str:
    place = re.search(r"position ([0-9]+)", message)
    where = ""
    if place is not None:
        octets = marked.text.encode()[: int(place[1])]
        where = f" (line {_line(marked, len(octets.decode(errors='ignore')))})"
    return f"MJML can't be read: {_PLACE.sub('', message)}{where}"


def _line(marked: Marked, place: int) -> int:
    """The line of the template in which a place of the marked text is."""
    return marked.back(marked.text[:place]).count("\n") + 1
