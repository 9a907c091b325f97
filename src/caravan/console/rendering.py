"""Templates (Jinja2, everything escaped) and what they can say: numbers, moments, addresses of static files."""

import hashlib
import json
import re
import unicodedata
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent
_SHOWN = 120  # characters of a property
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")  # as sentences of queries/ write one
#: Reasons of rejected rows, as a heading says them; their codes stand beside them.
_REASONS = {
    "not_utf8": "Not UTF-8",
    "not_json": "Not JSON",
    "not_object": "Not an object",
    "missing_id": "No id",
    "bad_id": "Id of a wrong kind",
    "bad_properties": "Properties of a wrong kind",
    "too_long": "Too long",
    "duplicate": "Id again in the same file",
    "reentry_refused": "May not enter the journey again",
}


def render(template: str, **values: Any) -> str:
    """A page."""
    return _environment().get_template(template).render(values)


def macro(template: str, name: str, *values: Any, **named: Any) -> str:
    """A part of a page: what the macro of this name makes, as on the page itself."""
    made: str = getattr(_environment().get_template(template).module, name)(*values, **named)
    return str(made)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(count=count, moment=moment, moments=moments, words=words, reason=reason)
    made.filters.update(share=share, size=size, shown=shown, fitted=fitted, duration=duration)
    made.globals["static"] = static
    return made


def count(number: float | None) -> str:
    """1,234,567; a dash where there is no number."""
    if number is None:
        return "–"
    return f"{int(number) if number == int(number) else number:,}"


def share(part: int, whole: int) -> str:
    """A share as whole percent, never 100 % nor 0 % where it is not quite so."""
    if whole <= 0:
        return "–"
    percent = 100 * part / whole
    return f"{min(99, max(1, round(percent))) if 0 < part < whole else round(percent)} %"


def size(number: int) -> str:
    """Bytes as people count them: 1.6 GB."""
    amount, units = float(number), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 999.5 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    return f"{number} bytes" if unit == "bytes" else f"{amount:.{0 if amount >= 99.5 else 1}f} {unit}"


def duration(seconds: float) -> str:
    """About how long something still takes: 40 s, 3 min, 2 h 10 min, 5 days."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{round(hours / 24)} days"


def shown(value: Any) -> str:
    """The beginning of a property's value: a text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def words(code: str) -> str:
    """A state, outcome or reason code in words: `awaiting_upload` is "awaiting upload"."""
    return str(code).replace("_", " ")


def reason(code: str) -> str:
    """Why a row was rejected, in a few words."""
    return _REASONS.get(str(code), words(code).capitalize())


def moment(at: datetime | None) -> str:
    """A moment, which the browser shows in the reader's zone (`static/local-time.js`); without scripts in UTC."""
    if at is None:
        return "–"
    shown = f"{at:%Y-%m-%d %H:%M} UTC"
    made = Markup('<local-time><time datetime="{}">{}</time></local-time>')
    return made.format(f"{at:%Y-%m-%dT%H:%M:%SZ}", shown)


def moments(sentence: str) -> Markup:
    """A sentence with its moments, like `2026-11-29 02:55:04 UTC`, as `moment` shows them."""
    made, begin = Markup(), 0
    for found in _MOMENT.finditer(sentence):
        try:
            at = datetime.strptime(found.group(), "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
        except ValueError:  # somebody else's sentence, with something that only looks like one
            continue
        made += Markup.escape(sentence[begin : found.start()]) + moment(at)
        begin = found.end()
    return made + Markup.escape(sentence[begin:])


def fitted(text: str, columns: int) -> str:
    """As much of a text as there are columns for; wide characters take two (Unicode Standard Annex 11)."""
    taken, room = "", columns
    for character in text:
        room -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if room < 1 and len(taken) + 1 < len(text):
            return taken.rstrip() + "…"
        taken += character
    return taken


@cache
def static(name: str) -> str:
    """The address of a static file, which changes with what is in it."""
    digest = hashlib.sha256((_HERE / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/console/static/{name}?v={digest}"
