"""What keeps others' pages out of the console: headers on each answer, and no post that another site made."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caravan.console import failures
from caravan.console.visit import is_tls
from caravan.errors import Forbidden


def policy(connect: str = "'self'") -> str:
    """CSP Level 3: nothing inline, nothing of another host, in nobody's frame. `connect` is where its scripts may
    connect to."""
    return "; ".join((
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        f"connect-src {connect}",
        "frame-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ))  # fmt: skip


POLICY = policy()
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FRAMED = {  # for a stranger's HTML in a frame of a page of ours: no origin, no script, no form, nothing from elsewhere
    "Content-Security-Policy": "; ".join((
        "sandbox",
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        "form-action 'none'",
        "frame-ancestors 'self'",
        "base-uri 'none'",
    )),
    "X-Frame-Options": "SAMEORIGIN",
}  # fmt: skip
_TLS = {"Strict-Transport-Security": "max-age=63072000"}  # two years, as Mozilla's observatory asks for
_PAGE = "no-store"  # numbers of now, and only for the one that is signed in
_STATIC = "public, max-age=31536000, immutable"  # their addresses carry a digest of what is in them
_SAFE = frozenset({"GET", "HEAD"})


class Guard:
    """An ASGI middleware around the console. `public_url` is how browsers reach it, if that is set."""

    def __init__(self, app: ASGIApp, public_url: str | None) -> None:
        self._app = app
        self._own = urlsplit(public_url).netloc.lower() if public_url else None
        self._headers = {**HEADERS, **_TLS} if is_tls(public_url) else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        is_static = scope["path"].startswith("/console/static/")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)  # a page that needs another one says so itself
                headers["Cache-Control"] = _STATIC if is_static and message["status"] < 400 else _PAGE
            await send(message)

        if scope["method"] in _SAFE or self._is_own(Headers(scope=scope)):
            await self._app(scope, receive, answer)
        else:
            refused = Forbidden("This form was not sent from a page of the console. Open the page and try again.")
            await failures.page(Request(scope, receive), refused)(scope, receive, answer)

    def _is_own(self, headers: Headers) -> bool:
        """Whether a page of this origin made the call: browsers say so in `Sec-Fetch-Site` (Fetch Metadata §2.3), older
        ones in `Origin` (RFC 6454 §7)."""
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site == "same-origin"
        origin = urlsplit(headers.get("origin", "")).netloc.lower()
        return bool(origin) and origin in (headers.get("host", "").lower(), self._own)
