"""The text filters. In HTML a text that is `Markup` is safe; its own methods escape what is added to it."""

import base64
import html
import json
import re
from urllib.parse import quote_plus, unquote_plus

from markupsafe import Markup
from markupsafe import escape as escaped

from caravan.journeys.placeholders.comparisons import is_default
from caravan.journeys.placeholders.limits import MAX_ITEMS, MAX_OUTPUT, text_too_long
from caravan.journeys.placeholders.values import Rendering, as_json, as_text, trusted

_LINE_END = re.compile(r"\r?\n")


def append(rendering: Rendering, text: str, more: str) -> str:
    return text + more


def prepend(rendering: Rendering, text: str, before: str) -> str:
    return before + text


def capitalize(rendering: Rendering, text: str) -> str:
    return text.capitalize()


def downcase(rendering: Rendering, text: str) -> str:
    return text.lower()


def upcase(rendering: Rendering, text: str) -> str:
    return text.upper()


def strip(rendering: Rendering, text: str) -> str:
    return text.strip()


def lstrip(rendering: Rendering, text: str) -> str:
    return text.lstrip()


def rstrip(rendering: Rendering, text: str) -> str:
    return text.rstrip()


def squish(rendering: Rendering, text: str) -> str:
    """One space in place of each run of blanks."""
    return type(text)(" ").join(text.split())


def remove(rendering: Rendering, text: str, part: str) -> str:
    return text.replace(part, "")


def remove_first(rendering: Rendering, text: str, part: str) -> str:
    return text.replace(part, "", 1)


def replace(rendering: Rendering, text: str, old: str, new: str = "") -> str:
    found = len(text) + 1 if not old else text.count(old)
    if len(text) + found * (len(new) - len(old)) > MAX_OUTPUT:
        raise text_too_long()
    return text.replace(old, new)


def replace_first(rendering: Rendering, text: str, old: str, new: str = "") -> str:
    return text.replace(old, new, 1)


def truncate(rendering: Rendering, text: str, length: int = 50, end: str = "...") -> str:
    """At most `length` characters, with `end` counted among them."""
    return text if len(text) <= length else text[: max(length - len(end), 0)] + end


def truncatewords(rendering: Rendering, text: str, count: int = 15, end: str = "...") -> str:
    """At most `count` words, but at least one."""
    words = text.split(None, max(count, 1))
    if len(words) <= max(count, 1):
        return text
    return type(text)(" ").join(words[: max(count, 1)]) + end


def escape(rendering: Rendering, text: str) -> str:
    if rendering.autoescape:
        return escaped(str(text))
    return html.escape(text).replace("&#x27;", "&#39;")


def escape_once(rendering: Rendering, text: str) -> str:
    """Escaped, with what was escaped before left as it is."""
    rendering.charge(4 * len(text))
    plain = html.unescape(str(text))
    return plain if rendering.autoescape else escape(rendering, plain)


def newline_to_br(rendering: Rendering, text: str) -> str:
    if rendering.autoescape:
        return Markup(_LINE_END.sub("<br />\n", escaped(text)))
    return _LINE_END.sub("<br />\n", text)


def strip_newlines(rendering: Rendering, text: str) -> str:
    return trusted(_LINE_END.sub("", text), like=text)


def url_encode(rendering: Rendering, text: str) -> str:
    rendering.charge(4 * len(text))
    return quote_plus(text)


def url_decode(rendering: Rendering, text: str) -> str:
    rendering.charge(4 * len(text))
    return unquote_plus(text)


def json_(rendering: Rendering, value: object) -> str:
    """A value as JSON, a text with its quotation marks."""
    text = json.dumps(as_json(value, rendering), ensure_ascii=False)
    rendering.charge(len(text))
    return text


def base64_encode(rendering: Rendering, text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def safe(rendering: Rendering, text: str) -> str:
    """HTML as it is."""
    return Markup(text) if rendering.autoescape else text


def split(rendering: Rendering, text: str, separator: str) -> list[str]:
    """By blanks for a space, into characters for no separator. One item too many is enough to be refused."""
    if not separator:
        return list(text[: MAX_ITEMS + 1])
    if not text or text == separator:
        return []
    return text.split(None if separator == " " else separator, MAX_ITEMS)


def slice_(rendering: Rendering, value: object, start: int, length: int = 1) -> str | list[object]:
    """Part of a list, or of the text of anything else; a negative start counts from the end."""
    whole = value if isinstance(value, list | tuple | range) else as_text(value, rendering)
    if start < 0:
        start += _length(whole)
    part = whole[start : start + max(length, 0)] if start >= 0 else whole[:0]
    return part if isinstance(part, str) else list(part[: MAX_ITEMS + 1])


def size(rendering: Rendering, value: object) -> int:
    """Characters of a text, items of a list, names of an object; 0 for anything else."""
    return _length(value) if isinstance(value, str | list | tuple | range | dict) or hasattr(value, "keys") else 0


def default(rendering: Rendering, value: object, instead: object = "", allow_false: object = False) -> object:
    """Something else for nothing, false and what is empty."""
    if value is False and allow_false is True:
        return value
    return instead if is_default(value) else value


def _length(value: object) -> int:
    if isinstance(value, range):
        return max(value.stop - value.start, 0)  # len() of a long one overflows
    return len(value)  # type: ignore[arg-type]
