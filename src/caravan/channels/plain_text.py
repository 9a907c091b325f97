"""The text of a mail that has only HTML: made once of the template, so that it is a template too."""

import re
from html import unescape
from typing import Final

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

from caravan.errors import InvalidInput
from caravan.journeys.placeholders import compile_template

_LIQUID: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_VERBATIM: Final = re.compile(r"\{%-?\s*(?:raw|comment)\b")  # in which no placeholder is one
_UNSEEN: Final = re.compile(r"<!--.*?-->|<(head|style|script)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TAG: Final = re.compile(r"<[^>]*>", re.DOTALL)
_FIRST, _LAST = 0xE000, 0xF8FF  # private use: characters that stand for what HTML is not to touch
_MARK: Final = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
_BLANK_LINES: Final = re.compile(r"\n{3,}")


def text_of(html: str) -> str | None:
    """A template of plain text that says what this HTML template says; None where that can't be told for sure.

    Each placeholder is kept octet for octet. Where a condition or a loop would not stand in the text as it does in the
    page, as inside of a tag, there is no text rather than a wrong one.
    """
    if _MARK.search(html) or _VERBATIM.search(html):
        return None
    seen = _UNSEEN.sub("", html)
    tokens = [found[0] for found in _LIQUID.finditer(seen)]
    if len(tokens) > _LAST - _FIRST:
        return None
    numbers = iter(range(_FIRST, _LAST))
    masked = _LIQUID.sub(lambda _: chr(next(numbers)), seen)
    text = _lines(masked, links=True)
    if "{{" in text or "{%" in text or not _faithful(masked, tokens):
        return None
    text = _MARK.sub(lambda found: tokens[ord(found[0]) - _FIRST], _BLANK_LINES.sub("\n\n", text.strip()))
    try:
        compile_template(text)
    except InvalidInput:
        return None
    return text or None


def _lines(html: str, *, links: bool) -> str:
    config = ParserConfig(css=CSS_PROFILES["relaxed"].copy(), display_links=links)
    return "\n".join(line.rstrip() for line in get_text(html, config).splitlines())


def _faithful(masked: str, tokens: list[str]) -> bool:
    """Whether all that the page's conditions and loops are about stands in the text in the same order."""
    if not any(token.startswith("{%") for token in tokens):
        return True
    outside = _TAG.sub("", masked)
    if any(token.startswith("{%") and chr(_FIRST + index) not in outside for index, token in enumerate(tokens)):
        return False
    return _letters(unescape(outside)) == _letters(_lines(masked, links=False))


def _letters(text: str) -> str:
    return "".join(each for each in text if each.isalnum() or _MARK.match(each))
