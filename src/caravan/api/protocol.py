"""HTTP where FastAPI leaves gaps: HEAD wherever GET is, a trailing slash, and what a path does take (`Allow`)."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class Protocol:
    """An ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _without_trailing_slash(scope)
        if scope["method"] == "HEAD":
            await self._head(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as GET would, without the body (RFC 9110 §9.3.2). What would be streamed is not made: its
        maker is told that the client went away as soon as the headers are sent."""
        begun = False

        async def heard() -> Message:
            return {"type": "http.disconnect"} if begun else await receive()

        async def said(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                await send(message)
                await send({"type": "http.response.body", "body": b""})

        await self._app({**scope, "method": "GET", "asked_method": "HEAD"}, heard, said)


def _without_trailing_slash(scope: Scope) -> Scope:
    """The same call as without a slash at its end. A redirect would name the scheme that a proxy spoke to us."""
    path: str = scope["path"]
    if len(path) < 2 or not path.endswith("/"):
        return scope
    raw: bytes = scope.get("raw_path") or path.encode()
    return {**scope, "path": path.rstrip("/") or "/", "raw_path": raw.rstrip(b"/") or b"/"}


def allowed(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """The methods that the path of a call takes, for `Allow` (RFC 9110 §10.2.1)."""
    good = {method for method in _METHODS if _takes(routes, {**scope, "method": method})}
    return sorted(good | ({"HEAD"} if "GET" in good else set()))


def _takes(routes: Sequence[BaseRoute], scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in routes)
