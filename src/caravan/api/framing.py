"""A body that is not framed plainly is refused: of transfer codings only `chunked` is known here (RFC 9112 §6.1). The
parser of HTTP takes that off and would leave any other coding on the body, as if it were content."""

from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from caravan.api.problems import problem


class Framing:
    """An ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        app = self._app if scope["type"] != "http" or _is_plain(scope) else _REFUSAL
        await app(scope, receive, send)


_REFUSAL = problem(HTTPStatus.NOT_IMPLEMENTED, "Of transfer codings only chunked is known here (RFC 9112 §6.1).")


def _is_plain(scope: Scope) -> bool:
    codings = [value for name, value in scope["headers"] if name == b"transfer-encoding"]
    return not codings or (len(codings) == 1 and codings[0].strip().lower() == b"chunked")
