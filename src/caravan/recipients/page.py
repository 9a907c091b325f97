"""The recipient's pages as HTML: one document each, with nothing from anywhere else, without scripts."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from caravan.recipients.words import Words

_TEMPLATES: Final = Path(__file__).parent / "templates"


def html_page(status: int, language: str, **values: object) -> Response:
    """The page, which nobody keeps, frames or indexes, and that tells no other site where its visitor came from."""
    html = _environment().get_template("unsubscribe.html").render(style=Markup(_style()), **values)
    return Response(html, status, _headers() | {"Content-Language": language}, "text/html; charset=utf-8")


def trouble_page(status: int, words: Words, title: str, sentence: str, customer: str | None = None) -> Response:
    """The page that says why there is nothing to be done here."""
    return html_page(
        status,
        words.language,
        words=words,
        title=title,
        sentences=[sentence],
        customer=customer,
        mark="trouble",
        address=None,
        buttons=[],
        note=None,
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


@cache
def _style() -> str:
    return (_TEMPLATES / "unsubscribe.css").read_text(encoding="utf-8")


@cache
def _headers() -> dict[str, str]:
    """CSP Level 3: this one style, known by its digest, and the form of the page itself; all else is refused."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex, nofollow",
        "Cache-Control": "no-store",
    }
