"""Templates (Jinja2, everything escaped) and what they can say: numbers, moments, addresses of static files."""

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent


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
    made.filters.update(count=count, moment=moment, words=words, share=share)
    made.globals["static"] = static
    return made


def count(number: float | None) -> str:
    """1,234,567; a dash where there is no number."""
    return "–" if number is None else f"{number:,}"


def share(part: int, whole: int) -> str:
    """A share as whole percent, never 100 % nor 0 % where it is not quite so."""
    if whole <= 0:
        return "–"
    percent = 100 * part / whole
    return f"{min(99, max(1, round(percent))) if 0 < part < whole else round(percent)} %"


def words(code: str) -> str:
    """A state, outcome or reason code in words: `awaiting_upload` is "awaiting upload"."""
    return str(code).replace("_", " ")


def moment(at: datetime | None) -> str:
    """A moment, which the browser shows in the reader's zone (`static/local-time.js`); without scripts in UTC."""
    if at is None:
        return "–"
    shown = f"{at:%Y-%m-%d %H:%M} UTC"
    made = Markup('<local-time><time datetime="{}">{}</time></local-time>')
    return made.format(f"{at:%Y-%m-%dT%H:%M:%SZ}", shown)


@cache
def static(name: str) -> str:
    """The address of a static file, which changes with what is in it."""
    digest = hashlib.sha256((_HERE / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/console/static/{name}?v={digest}"
